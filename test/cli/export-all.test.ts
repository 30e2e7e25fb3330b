import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { type LayoutReport, layoutReport } from "../../src/api/layout-report.ts";
import { definitions } from "../../src/cli/json-outputs.ts";
import { signStatements } from "../../src/jobs/sign-statements.ts";
import { descriptorSchema } from "../../src/oci/descriptor.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { listAttestationKeys } from "../../src/registry/attestation-keys.ts";
import { type Ran, runSecurectl } from "../support/securectl.ts";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";
import { digestIn, imageOf, indexOf, nested, signatureOf } from "../support/transitions.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const image = (which: string): ReturnType<typeof imageOf> => imageOf(["weights"], { annotations: { which } });
const PART = image("part");
const TREE = indexOf([PART]);
const SIGNATURE = signatureOf(TREE, "signature");
const TAGGED = image("tagged");
const UNTAGGED = image("untagged");
const REVOKED = image("revoked");
const DELETED = image("deleted");
const SBOM = signatureOf(UNTAGGED, "sbom");
const NAME = "org.opencontainers.image.ref.name";

let registry: TestRegistry;
let folder: string;
beforeAll(async () => {
  registry = await startTestRegistry();
  await signStatements(registry.services);
});
afterAll(() => registry.stop());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "securectl-export-all-"));
  const pem = (await listAttestationKeys(registry.services)).at(-1)?.pem ?? "";
  await writeFile(at("key.pem"), pem);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const at = (...path: readonly string[]): string => join(folder, ...path);

function securectl(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  return runSecurectl(args, { HOME: registry.directory, REGISTRY_URL: registry.url, REGISTRY_DIR: registry.directory, ...env });
}

async function done(...args: readonly string[]): Promise<string> {
  const { exit, out, err } = await securectl(args);
  expect([exit, err.includes("error:") ? err : ""]).toEqual([0, ""]);
  return out;
}

async function push(repository: string, manifest: object, tag?: string): Promise<void> {
  const bytes = JSON.stringify(manifest);
  const { mediaType } = manifest as { mediaType: string };
  const path = `/v2/${repository}/manifests/${tag ?? digestOf(bytes)}`;
  const { status } = await registry.fetchAs("publisher", path, { method: "PUT", headers: { "Content-Type": mediaType }, body: bytes });
  expect(status).toBe(201);
}

/** Artifacts of every kind and in every state: a tree with a signature, tagged and untagged ones, a signature that is trusted by itself. */
async function filled(repository: string): Promise<void> {
  for (const blob of ["{}", "weights", "signature", "sbom"]) {
    const path = `/v2/${repository}/blobs/uploads/?digest=${digestOf(blob)}`;
    expect((await registry.fetchAs("publisher", path, { method: "POST", body: blob })).status).toBe(201);
  }
  await push(repository, PART, "part");
  await push(repository, TREE, "v1");
  for (const manifest of [SIGNATURE, UNTAGGED, SBOM, REVOKED, DELETED]) await push(repository, manifest);
  for (const tag of ["a", "b"]) await push(repository, TAGGED, tag);
  await done("promote", `${repository}:v1`, "--reason", "fine");
  for (const manifest of [TAGGED, REVOKED, SBOM]) await done("promote", `${repository}@${digestIn(manifest)}`);
  // Pushers find another artifact by it; readers this one.
  await push(repository, UNTAGGED, "b");
  await done("revoke", `${repository}@${digestIn(REVOKED)}`, "--reason", "poisoned");
  await done("delete", `${repository}@${digestIn(DELETED)}`, "--reason", "old");
}

async function verify(place: string, ...more: readonly string[]): Promise<{ readonly exit: number; readonly report: LayoutReport }> {
  const { exit, out } = await securectl(["verify-layout", place, "--key", at("key.pem"), "--json", ...more], {
    REGISTRY_URL: "http://127.0.0.1:1",
  });
  return { exit, report: layoutReport.parse(JSON.parse(out)) };
}

const indexSchema = z.object({ manifests: z.array(descriptorSchema) });

async function namesIn(place: string): Promise<Readonly<Record<string, string>>> {
  const { manifests } = indexSchema.parse(JSON.parse(await readFile(join(place, "index.json"), "utf8")));
  return Object.fromEntries(
    manifests.flatMap(({ digest, annotations }) => (annotations?.[NAME] === undefined ? [] : [[annotations[NAME], digest]])),
  );
}

const ARTIFACTS = [TREE, TAGGED, UNTAGGED, REVOKED, SBOM].map((manifest) => digestIn(manifest)).toSorted();

describe("an export of a whole repository", () => {
  test("holds every artifact with its proof, and the tags that readers find", async () => {
    await filled("models/whole");
    const out = await done("export", "--all", "models/whole", at("all"), "--json");
    const told = definitions.RepositoryExportReport.parse(JSON.parse(out));
    expect(told.artifacts.map(({ digest }) => digest)).toEqual(ARTIFACTS);
    expect(told.artifacts.find(({ digest }) => digest === digestIn(TAGGED))).toMatchObject({ state: "trusted", tags: ["a", "b"] });
    expect(told.left_out).toEqual([]);
    const { exit, report } = await verify(at("all"));
    expect([exit, report.faults]).toEqual([0, []]);
    expect(report.artifacts).toEqual(ARTIFACTS);
    expect(Object.fromEntries(report.states.map(({ digest, state }) => [digest, state]))).toEqual({
      [digestIn(TREE)]: "trusted",
      [digestIn(PART)]: "acquired",
      [digestIn(SIGNATURE)]: "acquired",
      [digestIn(TAGGED)]: "trusted",
      [digestIn(UNTAGGED)]: "acquired",
      [digestIn(REVOKED)]: "revoked",
      [digestIn(SBOM)]: "trusted",
    });
    expect(await namesIn(at("all"))).toEqual({
      a: digestIn(TAGGED),
      b: digestIn(TAGGED),
      part: digestIn(PART),
      v1: digestIn(TREE),
    });
    expect((await verify(at("all"), "--require", "trusted")).exit).toBe(4);
  });

  test("is the same bytes each time, as archive and as folder", async () => {
    await filled("models/same");
    for (const name of ["a.tar", "b.tar", "a", "b"]) await done("export", "--all", "models/same", at(name));
    expect(digestOf(await readFile(at("a.tar")))).toBe(digestOf(await readFile(at("b.tar"))));
    expect(await readFile(at("a", "index.json"), "utf8")).toBe(await readFile(at("b", "index.json"), "utf8"));
    expect((await readdir(at("a", "blobs", "sha256"))).toSorted()).toEqual((await readdir(at("b", "blobs", "sha256"))).toSorted());
  });

  test("is taken in by an import, artifacts with a name and without one", async () => {
    await filled("models/given");
    await done("export", "--all", "models/given", at("all.tar"));
    const { artifacts } = definitions.ImportReport.parse(JSON.parse(await done("import", at("all.tar"), "models/taken", "--json")));
    expect(artifacts.map(({ digest }) => digest).toSorted()).toEqual(
      [TREE, TAGGED, UNTAGGED, REVOKED].map((manifest) => digestIn(manifest)).toSorted(),
    );
    expect(new Set(artifacts.map(({ state }) => state))).toEqual(new Set(["quarantined"]));
    expect(artifacts.find(({ digest }) => digest === digestIn(TAGGED))?.tags).toEqual(["a", "b"]);
  });

  test("shows readers what they may read, and no more", async () => {
    await filled("models/read");
    const env = { SECURECTL_TOKEN: registry.credentials.runtime };
    const { exit, out } = await securectl(["export", "--all", "models/read", at("read"), "--json"], env);
    const told = definitions.RepositoryExportReport.parse(JSON.parse(out));
    expect([exit, told.left_out]).toEqual([0, [{ digest: digestIn(REVOKED), because: "it is revoked" }]]);
    const { report } = await verify(at("read"), "--require", "trusted");
    expect([report.accepted, report.artifacts]).toEqual([true, [TREE, TAGGED, SBOM].map((manifest) => digestIn(manifest)).toSorted()]);
    expect(JSON.stringify(report)).not.toContain(digestIn(UNTAGGED));
  });

  test("is refused as a whole when one artifact's last statement is hidden, and when its snapshot is of another time", async () => {
    await filled("models/attacked");
    await done("export", "--all", "models/attacked", at("before"));
    await done("revoke", `models/attacked@${digestIn(TAGGED)}`, "--reason", "poisoned");
    await done("export", "--all", "models/attacked", at("after"));
    const { manifests } = indexSchema.parse(JSON.parse(await readFile(at("after", "index.json"), "utf8")));
    const revocation = await held("after", manifests, ['"state":"revoked"', "attestations/lifecycle/v1"], digestIn(TAGGED));
    const without = manifests.filter(({ digest }) => digest !== revocation?.digest);
    await writeFile(at("after", "index.json"), JSON.stringify({ schemaVersion: 2, manifests: without }));
    expect((await verify(at("after"))).report.faults.map(({ code }) => code)).toEqual(["statement-missing"]);

    const old = indexSchema.parse(JSON.parse(await readFile(at("before", "index.json"), "utf8"))).manifests;
    const snapshot = await held("before", old, ['"takenAt"'], digestIn(TAGGED));
    for (const name of await readdir(at("before", "blobs", "sha256"))) {
      const bytes = await readFile(at("before", "blobs", "sha256", name));
      await writeFile(at("after", "blobs", "sha256", name), bytes);
    }
    await writeFile(at("after", "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [...manifests, snapshot] }));
    expect((await verify(at("after"))).report.faults.map(({ code }) => code)).toEqual(["snapshot-ambiguous"]);
  });

  test("is kept by nothing that somebody pushed and that is not there, or is larger than any artifact may be", async () => {
    await filled("models/pushed");
    const deep = nested(imageOf([]), 9);
    const [incomplete, sparse] = [imageOf(["missing"]), indexOf([image("missing")])];
    for (const manifest of [...deep, incomplete, sparse]) await push("models/pushed", manifest);
    const told = definitions.RepositoryExportReport.parse(JSON.parse(await done("export", "--all", "models/pushed", at("all"), "--json")));
    const left = [incomplete, sparse, deep.at(-1) ?? {}].map(digestIn);
    expect(told.left_out.map(({ digest }) => digest)).toEqual(expect.arrayContaining(left));
    expect(told.left_out).toHaveLength(left.length);
    const { report } = await verify(at("all"));
    expect([report.faults, report.artifacts]).toEqual([[], expect.arrayContaining([...ARTIFACTS])]);
  });

  test("is refused where there is nothing", async () => {
    expect(await securectl(["export", "--all", "models/nothing", at("none")])).toMatchObject({ exit: 5 });
  });
});

/** The entry of a statement about an artifact that says something. */
async function held(
  layout: string,
  entries: z.infer<typeof indexSchema>["manifests"],
  says: readonly string[],
  subject: string,
): Promise<z.infer<typeof descriptorSchema> | undefined> {
  const bytesOf = (digest: string): Promise<string> => readFile(at(layout, "blobs", ...digest.split(":")), "utf8");
  for (const entry of entries) {
    const manifest = z
      .looseObject({ layers: z.array(descriptorSchema).optional(), subject: descriptorSchema.optional() })
      .parse(JSON.parse(await bytesOf(entry.digest)));
    if (manifest.subject?.digest !== subject || manifest.layers?.[0] === undefined) continue;
    const [, payload] = /"payload":"([^"]*)"/.exec(await bytesOf(manifest.layers[0].digest)) ?? [];
    const text = Buffer.from(payload ?? "", "base64").toString("utf8");
    if (says.every((each) => text.includes(each))) return entry;
  }
  return undefined;
}
