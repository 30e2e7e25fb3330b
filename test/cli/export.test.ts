import { createHash } from "node:crypto";
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { type LayoutReport, layoutReport } from "../../src/api/layout-report.ts";
import { openLayout } from "../../src/cli/layout.ts";
import { SIGSTORE_BUNDLE } from "../../src/lifecycle/dsse.ts";
import { canonicalJson } from "../../src/oci/canonical-json.ts";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { type Digest, digestOf, encodedOf } from "../../src/oci/digest.ts";
import { OCI_IMAGE, OCI_INDEX } from "../../src/oci/media-types.ts";
import { listAttestationKeys } from "../../src/registry/attestation-keys.ts";
import { signStatements } from "../../src/jobs/sign-statements.ts";
import { type Ran, runSecurectl } from "../support/securectl.ts";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";
import { descriptorOf, digestIn, imageOf, indexOf, nested, signatureOf } from "../support/transitions.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const WEIGHTS = "weights ".repeat(400_000);
const MODEL = imageOf([WEIGHTS], { annotations: { which: "model" } });
const OTHER = imageOf([WEIGHTS], { annotations: { which: "other" } });
const TREE = indexOf([MODEL, OTHER]);
const SIGNATURE = signatureOf(TREE, "signature");
const LATER = signatureOf(TREE, "later");
const ROOT = digestIn(TREE);

let registry: TestRegistry;
let folder: string;
beforeAll(async () => {
  registry = await startTestRegistry();
  await signStatements(registry.services);
});
afterAll(() => registry.stop());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "securectl-export-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const at = (...path: readonly string[]): string => join(folder, ...path);

function securectl(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  return runSecurectl(args, { HOME: registry.directory, REGISTRY_URL: registry.url, REGISTRY_DIR: registry.directory, ...env });
}

async function done(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const { exit, out, err } = await securectl(args, env);
  expect([exit, err.includes("error:")]).toEqual([0, false]);
  return out;
}

const asRuntime = (): NodeJS.ProcessEnv => ({ SECURECTL_TOKEN: registry.credentials.runtime });

async function push(repository: string, manifest: object, tag?: string): Promise<void> {
  const bytes = JSON.stringify(manifest);
  const { mediaType } = manifest as { mediaType: string };
  const path = `/v2/${repository}/manifests/${tag ?? digestOf(bytes)}`;
  const { status } = await registry.fetchAs("publisher", path, { method: "PUT", headers: { "Content-Type": mediaType }, body: bytes });
  expect(status).toBe(201);
}

async function pushAll(repository: string): Promise<void> {
  for (const blob of ["{}", WEIGHTS, "signature", "later"]) {
    const path = `/v2/${repository}/blobs/uploads/?digest=${digestOf(blob)}`;
    const { status } = await registry.fetchAs("publisher", path, { method: "POST", body: blob });
    expect(status).toBe(201);
  }
  for (const manifest of [MODEL, OTHER]) await push(repository, manifest);
  await push(repository, TREE, "v1");
  await push(repository, SIGNATURE);
}

/** A tree that was promoted, revoked and promoted again, with a change of keys in between and a signature that nothing covers. */
async function lived(repository: string): Promise<void> {
  await pushAll(repository);
  const ref = `${repository}@${ROOT}`;
  await done(["promote", ref, "--reason", "fine", "--tag", "v1"]);
  await done(["revoke", ref, "--reason", "poisoned"]);
  await done(["signing-key", "rotate", "--yes"]);
  await done(["promote", ref, "--reason", "not poisoned"]);
  await push(repository, LATER);
}

async function writeKey(which: number): Promise<string> {
  const pem = (await listAttestationKeys(registry.services)).at(which)?.pem ?? "";
  await writeFile(at(`key${which}.pem`), pem);
  return at(`key${which}.pem`);
}

async function verify(place: string, more: readonly string[] = []): Promise<{ readonly exit: number; readonly report: LayoutReport }> {
  const { exit, out } = await securectl(["verify-layout", place, "--key", await writeKey(-1), "--json", ...more], {
    REGISTRY_URL: "http://127.0.0.1:1",
  });
  return { exit, report: layoutReport.parse(JSON.parse(out)) };
}

const statesIn = ({ states }: LayoutReport): Readonly<Record<string, string>> =>
  Object.fromEntries(states.map(({ digest, state, sequence }) => [digest, `${state} ${sequence}`]));

const STATES = {
  [ROOT]: "trusted 4",
  [digestIn(MODEL)]: "acquired 1",
  [digestIn(OTHER)]: "acquired 1",
  [digestIn(SIGNATURE)]: "acquired 1",
};

/** A time so many days from now. */
function later(days: number): string {
  return new Date(Date.now() + days * 86_400_000).toISOString();
}

async function hashOf(file: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(file))
    .digest("hex");
}

describe("an export", () => {
  test("holds the artifact, what is attached to it, and the proof of all states, for who has the key and nothing else", async () => {
    await lived("models/whole");
    await done(["export", "models/whole:v1", at("layout")]);
    const { exit, report } = await verify(at("layout"), ["--require", "trusted"]);
    expect([exit, report.faults]).toEqual([0, []]);
    expect(report).toMatchObject({ accepted: true, repository: "models/whole", digest: ROOT });
    expect(statesIn(report)).toEqual(STATES);
    const covered = new Map(report.evidence.map((each) => [each.digest, each.covered]));
    expect(covered).toEqual(
      new Map([
        [digestIn(SIGNATURE), true],
        [digestIn(LATER), false],
      ]),
    );
    const root = report.states.find(({ digest }) => digest === ROOT);
    expect(root?.history.map(({ state, reason }) => [state, reason])).toEqual([
      ["acquired", null],
      ["trusted", "fine"],
      ["revoked", "poisoned"],
      ["trusted", "not poisoned"],
    ]);
    expect(report.grounds.every(({ present }) => present)).toBe(true);
    const layout = await openLayout(at("layout"));
    expect(layout.entries[0]).toMatchObject({ digest: ROOT, annotations: { "org.opencontainers.image.ref.name": "v1" } });
    expect(layout.sizeOf(digestOf(WEIGHTS))).toBe(WEIGHTS.length);
    await layout.close();
  });

  test("is the same bytes each time, as archive and as folder", async () => {
    await lived("models/same");
    const ref = `models/same@${ROOT}`;
    for (const name of ["a.tar", "b.tar", "a", "b"]) await done(["export", ref, at(name)]);
    expect(await hashOf(at("a.tar"))).toBe(await hashOf(at("b.tar")));
    const files = async (place: string): Promise<readonly string[]> => {
      const names = (await readdir(at(place), { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
      const hashed = names.map(
        async ({ parentPath, name }) => `${parentPath.slice(at(place).length)}/${name} ${await hashOf(join(parentPath, name))}`,
      );
      return (await Promise.all(hashed)).toSorted();
    };
    expect(await files("a")).toEqual(await files("b"));
    const [archive, unpacked] = [await verify(at("a.tar")), await verify(at("a"))];
    expect(archive.exit).toBe(0);
    expect(archive.report).toEqual(unpacked.report);
    expect((await readdir(folder)).filter((name) => name.includes(".part"))).toEqual([]);
  });

  test("for a reader holds what readers see, and proves the same of it", async () => {
    await lived("models/read");
    await done(["export", `models/read@${ROOT}`, at("layout.tar")], asRuntime());
    const { report } = await verify(at("layout.tar"));
    expect(report.faults).toEqual([]);
    expect(statesIn(report)).toEqual(STATES);
    expect(report.evidence.map(({ digest }) => digest)).toEqual([digestIn(SIGNATURE)]);
  });

  // Whoever may push attaches what they like, to what is trusted as well.
  test("is kept by nothing that somebody attached and that is not there, or is too much", async () => {
    await lived("models/attached");
    const subject = descriptorOf(JSON.stringify(TREE), OCI_INDEX);
    const layer = descriptorOf(WEIGHTS);
    const missing = imageOf(["missing"], { subject });
    const otherSize = imageOf([], { subject, layers: [{ ...layer, size: 1 }] });
    const claiming = imageOf([], { subject, layers: [{ ...descriptorOf("none"), mediaType: SIGSTORE_BUNDLE, size: 16_777_216 }] });
    const parts = nested(imageOf([]), 8);
    const tree = { ...parts.at(-1), subject };
    const mistyped = indexOf([], { subject, manifests: [descriptorOf(JSON.stringify(parts.at(-1)), OCI_IMAGE)] });
    const sparse = indexOf([imageOf(["missing"])], { subject });
    const deep = indexOf(nested(imageOf([]), 9).slice(-1), { subject });
    const chain = [imageOf([], { subject, annotations: { link: "1" } })];
    for (let link = 2; link <= 10; link += 1) {
      chain.push(imageOf([], { subject: descriptorOf(JSON.stringify(chain.at(-1)), OCI_IMAGE), annotations: { link: `${link}` } }));
    }
    const left = [missing, otherSize, claiming, mistyped, sparse, deep];
    for (const manifest of [...left, ...nested(imageOf([]), 9), tree, ...chain]) await push("models/attached", manifest);
    const told = JSON.parse(await done(["export", `models/attached@${ROOT}`, at("layout"), "--json"])) as {
      left_out: readonly { readonly digest: string; readonly because: string }[];
    };
    const leftOut = told.left_out.map(({ digest }) => digest);
    for (const manifest of left) expect(leftOut).toContain(digestIn(manifest));
    expect(leftOut).toContain(digestIn(chain[8] ?? {}));
    expect(leftOut).not.toContain(digestIn(tree));
    const { exit, report } = await verify(at("layout"), ["--require", "trusted"]);
    expect([exit, report.faults]).toEqual([0, []]);
    expect(statesIn(report)).toEqual(STATES);
    expect(report.evidence.map(({ digest }) => digest)).toEqual(expect.arrayContaining([digestIn(SIGNATURE), digestIn(LATER)]));
  });

  test("leaves out the content of a revoked part for readers, and tells that it is revoked", async () => {
    await lived("models/part");
    await done(["revoke", `models/part@${digestIn(OTHER)}`, "--reason", "bad"]);
    const out = await done(["export", `models/part@${ROOT}`, at("layout"), "--json"], asRuntime());
    expect(JSON.parse(out)).toMatchObject({ left_out: [{ digest: digestIn(OTHER), because: "it is revoked" }] });
    const { report } = await verify(at("layout"));
    expect(report.faults).toEqual([]);
    expect(statesIn(report)).toEqual({ ...STATES, [digestIn(OTHER)]: "revoked 2" });
  });

  test("of what is revoked proves that it is revoked; who may not read it gets none", async () => {
    await pushAll("models/gone");
    await done(["promote", `models/gone@${ROOT}`]);
    await done(["revoke", `models/gone@${ROOT}`, "--reason", "bad", "--permanent"]);
    await done(["export", `models/gone@${ROOT}`, at("layout")]);
    const { exit, report } = await verify(at("layout"), ["--require", "trusted"]);
    expect([exit, report.faults]).toEqual([4, []]);
    expect(report.states.find(({ digest }) => digest === ROOT)).toMatchObject({ state: "revoked", permanent: true });
    expect((await verify(at("layout"))).exit).toBe(0);
    expect(await securectl(["export", `models/gone@${ROOT}`, at("denied")], asRuntime())).toMatchObject({ exit: 4 });
    expect(await securectl(["export", "models/none:v1", at("denied")])).toMatchObject({ exit: 5 });
    expect(await readdir(folder)).not.toContain("denied");
  });

  test("of what was only pushed rests on the snapshot alone", async () => {
    await pushAll("models/fresh");
    await done(["export", "models/fresh:v1", at("layout")]);
    const { report } = await verify(at("layout"));
    expect(report.faults).toEqual([]);
    expect(statesIn(report)).toEqual({ [ROOT]: "acquired 1", [digestIn(MODEL)]: "acquired 1", [digestIn(OTHER)]: "acquired 1" });
    expect(await securectl(["export", "models/fresh:v1", at("denied")], asRuntime())).toMatchObject({ exit: 5 });
  });

  test("leaves out look-alikes that somebody pushed, so that junk makes no export worthless", async () => {
    await lived("models/junk");
    await done(["export", `models/junk@${ROOT}`, at("clean")]);
    for (const entry of await statementsIn(at("clean"))) {
      const manifest = await manifestIn(at("clean"), entry.digest);
      if (manifest["subject"] === undefined) continue;
      for (const { digest } of manifest["layers"] as Descriptor[]) {
        const bytes = await readFile(at("clean", "blobs", "sha256", encodedOf(digest)));
        const path = `/v2/models/junk/blobs/uploads/?digest=${digest}`;
        await registry.fetchAs("publisher", path, { method: "POST", body: bytes });
      }
      await push("models/junk", { ...manifest, annotations: { "dev.ai-model-registry.lifecycle.state": "trusted" } });
    }
    await done(["export", `models/junk@${ROOT}`, at("layout")]);
    const { report } = await verify(at("layout"));
    expect(report.faults).toEqual([]);
    expect(statesIn(report)).toEqual(STATES);
  });

  test("never writes over what is there", async () => {
    await pushAll("models/there");
    await mkdir(at("full"));
    await writeFile(at("full", "a"), "a");
    await writeFile(at("a.tar"), "a");
    for (const place of ["full", "a.tar"]) {
      expect(await securectl(["export", "models/there:v1", at(place)])).toMatchObject({ exit: 2 });
    }
    expect(await readFile(at("a.tar"), "utf8")).toBe("a");
    await mkdir(at("empty"));
    await done(["export", "models/there:v1", at("empty")]);
  });
});

async function indexIn(place: string): Promise<Descriptor[]> {
  return (JSON.parse(await readFile(join(place, "index.json"), "utf8")) as { manifests: Descriptor[] }).manifests;
}

async function manifestIn(place: string, digest: Digest): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(place, "blobs", "sha256", encodedOf(digest)), "utf8")) as Record<string, unknown>;
}

async function statementsIn(place: string): Promise<Descriptor[]> {
  return (await indexIn(place)).filter(({ artifactType }) => artifactType === "application/vnd.dev.sigstore.bundle.v0.3+json");
}

async function writeIndex(place: string, manifests: readonly Descriptor[]): Promise<void> {
  await writeFile(join(place, "index.json"), canonicalJson({ schemaVersion: 2, manifests }));
}

async function annotationsOf(place: string, { digest }: Descriptor): Promise<Readonly<Record<string, string>>> {
  return ((await manifestIn(place, digest))["annotations"] ?? {}) as Record<string, string>;
}

/** The entry whose manifest has an annotation with a value. */
async function entryWith(place: string, name: string, value: string): Promise<Descriptor> {
  for (const entry of await indexIn(place)) if ((await annotationsOf(place, entry))[name] === value) return entry;
  throw new Error(`nothing is annotated with ${name}=${value}`);
}

const STATE = "dev.ai-model-registry.lifecycle.state";
const RESULT = "dev.ai-model-registry.verification.result";
const PREDICATE = "dev.sigstore.bundle.predicateType";
const SNAPSHOT = "https://ai-model-registry.dev/attestations/trust-snapshot/v1";

async function without(place: string, gone: Descriptor): Promise<void> {
  await writeIndex(
    place,
    (await indexIn(place)).filter(({ digest }) => digest !== gone.digest),
  );
}

/** Writes a changed manifest in the place of an entry, as somebody does who knows how layouts are made. */
async function replaced(
  place: string,
  entry: Descriptor,
  change: (manifest: Record<string, unknown>) => Record<string, unknown>,
): Promise<void> {
  const bytes = canonicalJson(change(await manifestIn(place, entry.digest)));
  await writeFile(join(place, "blobs", "sha256", encodedOf(digestOf(bytes))), bytes);
  const changed = { ...entry, digest: digestOf(bytes), size: Buffer.byteLength(bytes) };
  await writeIndex(
    place,
    (await indexIn(place)).map((each) => (each.digest === entry.digest ? changed : each)),
  );
}

const ATTACKS: readonly (readonly [string, readonly string[], (place: string) => Promise<void>])[] = [
  ["the revocation is not listed", ["statement-missing"], async (place) => without(place, await entryWith(place, STATE, "revoked"))],
  [
    "the summary that is listed no more is gone",
    ["summary-missing"],
    async (place) => without(place, await entryWith(place, RESULT, "FAILED")),
  ],
  ["the snapshot is gone", ["snapshot-missing"], async (place) => without(place, await entryWith(place, PREDICATE, SNAPSHOT))],
  [
    "the manifest of a statement is not there, though it is listed",
    ["blob-missing", "statement-missing"],
    async (place) => rm(join(place, "blobs", "sha256", encodedOf((await entryWith(place, STATE, "revoked")).digest))),
  ],
  ["the weights are not there", ["blob-missing"], (place) => rm(join(place, "blobs", "sha256", encodedOf(digestOf(WEIGHTS))))],
  [
    "the weights are others",
    ["blob-corrupt"],
    (place) => writeFile(join(place, "blobs", "sha256", encodedOf(digestOf(WEIGHTS))), WEIGHTS.replace("weights", "poison!")),
  ],
  ["a part of the artifact is not there", ["blob-missing"], (place) => rm(join(place, "blobs", "sha256", encodedOf(digestIn(OTHER))))],
  ["the artifact is not listed", ["blob-missing"], async (place) => writeIndex(place, (await indexIn(place)).slice(1))],
  [
    "evidence that the promotion covers is not listed",
    ["blob-missing"],
    async (place) =>
      writeIndex(
        place,
        (await indexIn(place)).filter(({ digest }) => digest !== digestIn(SIGNATURE)),
      ),
  ],
  [
    "a statement is attached to another artifact",
    ["wrong-subject"],
    async (place) =>
      replaced(place, await entryWith(place, STATE, "revoked"), (manifest) => ({
        ...manifest,
        subject: descriptorOf(JSON.stringify(MODEL), "application/vnd.oci.image.manifest.v1+json"),
      })),
  ],
  ["the marker is gone", ["layout-invalid"], (place) => rm(join(place, "oci-layout"))],
  ["the index is none", ["layout-invalid"], (place) => writeFile(join(place, "index.json"), "{}")],
];

describe("a layout is refused when", () => {
  let pristine: string;
  beforeAll(async () => {
    pristine = await mkdtemp(join(tmpdir(), "securectl-pristine-"));
    await lived("models/attacked");
    await done(["export", `models/attacked@${ROOT}`, join(pristine, "layout")]);
  });
  afterAll(() => rm(pristine, { recursive: true, force: true }));

  test.each(ATTACKS)("%s: %s", async (_, codes, attack) => {
    await cp(join(pristine, "layout"), at("copy"), { recursive: true });
    await attack(at("copy"));
    const { exit, report } = await verify(at("copy"));
    expect([exit, [...new Set(report.faults.map(({ code }) => code))].toSorted(), report.states]).toEqual([6, codes, []]);
  });

  test("it is told in words too, with the exit code and without a state", async () => {
    await cp(join(pristine, "layout"), at("copy"), { recursive: true });
    await without(at("copy"), await entryWith(at("copy"), STATE, "revoked"));
    const { exit, out, err } = await securectl(["verify-layout", at("copy"), "--key", await writeKey(-1)]);
    expect(exit).toBe(6);
    expect(out).toMatch(/^REFUSED: [^]*statement-missing: a statement of a chain is not there \(models\/attacked@sha256:[0-9a-f]{64} 3\)/);
    expect(err).toContain("the layout proves nothing: statement-missing");
  });

  test("its annotations lie, it is not: nothing reads them", async () => {
    await cp(join(pristine, "layout"), at("copy"), { recursive: true });
    const revoked = await entryWith(at("copy"), STATE, "revoked");
    await replaced(at("copy"), revoked, (manifest) => ({ ...manifest, annotations: { [STATE]: "trusted" } }));
    await writeIndex(
      at("copy"),
      (await indexIn(at("copy"))).map((entry) => ({ ...entry, annotations: { [STATE]: "trusted" } })).toReversed(),
    );
    const { exit, report } = await verify(at("copy"));
    expect([exit, report.faults, statesIn(report)]).toEqual([0, [], STATES]);
  });

  test("the time for which it may be relied on is over, by its own word or by ours", async () => {
    const place = join(pristine, "layout");
    const codes = async (...more: readonly string[]): Promise<readonly string[]> =>
      (await verify(place, more)).report.faults.map(({ code }) => code);
    expect(await codes("--at", later(29))).toEqual([]);
    expect(await codes("--at", later(31))).toEqual(["snapshot-expired"]);
    expect(await codes("--at", later(2), "--max-age", "1d")).toEqual(["snapshot-too-old"]);
    expect(await codes("--at", later(-1))).toEqual(["snapshot-from-future"]);
  });

  test("nobody vouches for the key that signed it; the first key of the registry does", async () => {
    const place = join(pristine, "layout");
    const other = await startTestRegistry();
    const [stranger] = await listAttestationKeys(other.services);
    await other.stop();
    await writeFile(at("stranger.pem"), stranger?.pem ?? "");
    const refused = await securectl(["verify-layout", place, "--key", at("stranger.pem"), "--json"]);
    expect(refused.exit).toBe(6);
    expect(JSON.parse(refused.out)).toMatchObject({ accepted: false, faults: [{ code: "key-untrusted" }] });
    const first = await securectl(["verify-layout", place, "--key", `${at("stranger.pem")},${await writeKey(0)}`, "--json"]);
    expect(first.exit).toBe(0);
    const { keys } = layoutReport.parse(JSON.parse(first.out));
    expect(keys.map(({ given }) => given)).toEqual(keys.map((_, n) => n === 0));
    expect(keys.at(-1)?.signed_until).toBeNull();
  });

  test("what is given as a key is none, that is wrong usage", async () => {
    await writeFile(at("none.pem"), "no key");
    for (const args of [["--key", at("none.pem")], ["--key", at("missing.pem")], []]) {
      expect(await securectl(["verify-layout", join(pristine, "layout"), ...args])).toMatchObject({ exit: 2 });
    }
  });
});
