import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { type IncomingMessage, type ServerResponse, createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import * as fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { layoutReport } from "../../src/api/layout-report.ts";
import { definitions, type ImportReport } from "../../src/cli/json-outputs.ts";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { type Digest, digestOf, encodedOf } from "../../src/oci/digest.ts";
import { OCI_IMAGE, OCI_INDEX } from "../../src/oci/media-types.ts";
import { listAttestationKeys } from "../../src/registry/attestation-keys.ts";
import { type Artifact, CI, PolicyRegistry, policyOf } from "../support/policy-registry.ts";
import { bundleManifest, statementOf } from "../support/private-sigstore.ts";
import { type Ran, runSecurectl } from "../support/securectl.ts";
import { descriptorOf, digestIn, imageOf, indexOf, signatureOf } from "../support/transitions.ts";
import { buildTar } from "./build-tar.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

/** The way to a registry: it counts what is sent there, and refuses after so much. */
class Gateway {
  /** `<method> <path>` of every request that may change something. */
  readonly writes: string[] = [];
  /** How many more of these are passed on. */
  allowed = Infinity;
  readonly #target: URL;
  readonly #server = createServer((asked, answer) => this.#pass(asked, answer));

  constructor(target: string) {
    this.#target = new URL(target);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async open(): Promise<void> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  #pass(asked: IncomingMessage, answer: ServerResponse): void {
    const { method = "", url: path = "", headers } = asked;
    if (method !== "GET" && method !== "HEAD") {
      if (this.allowed === 0) {
        asked.resume();
        answer.writeHead(500).end();
        return;
      }
      this.allowed -= 1;
      this.writes.push(`${method} ${path}`);
    }
    const passed = request({ host: this.#target.hostname, port: this.#target.port, method, path, headers }, (came) => {
      answer.writeHead(came.statusCode ?? 0, came.headers);
      came.pipe(answer);
    });
    asked.pipe(passed);
  }
}

let source: PolicyRegistry;
let target: PolicyRegistry;
let gateway: Gateway;
let folder: string;
beforeAll(async () => {
  source = await PolicyRegistry.start();
  target = await PolicyRegistry.start({}, source.sigstore);
});
afterAll(async () => {
  await source.registry.stop();
  await target.registry.stop();
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "securectl-import-"));
  gateway = new Gateway(target.registry.url);
  await gateway.open();
});
afterEach(async () => {
  await gateway.close();
  await rm(folder, { recursive: true, force: true });
});

const at = (...path: readonly string[]): string => join(folder, ...path);

/** As the publisher of the target, by way of the gateway. */
function securectl(args: readonly string[], token = target.registry.credentials.publisher): Promise<Ran> {
  return runSecurectl(args, { HOME: folder, REGISTRY_URL: gateway.url, SECURECTL_TOKEN: token });
}

async function imported(place: string, where: string): Promise<ImportReport> {
  const { exit, out, err } = await securectl(["import", place, where, "--json"]);
  expect([exit, exit === 0 ? "" : err]).toEqual([0, ""]);
  return definitions.ImportReport.parse(JSON.parse(out));
}

async function stateOf(repository: string, digest: string): Promise<string | undefined> {
  const { status, json } = await target.send("operator", `GET /v1/artifacts/${repository}@${digest}`);
  return status === 200 ? (json as { state: string }).state : undefined;
}

async function revoke(repository: string, digest: string): Promise<number> {
  return (await target.send("operator", `POST /v1/artifacts/${repository}@${digest}/revoke`, '{"reason":"bad"}')).status;
}

async function referrersOf(repository: string, digest: string): Promise<readonly string[]> {
  const { json } = await target.send("publisher", `GET /v2/${repository}/referrers/${digest}`);
  return (json as { manifests: { digest: string }[] }).manifests.map((each) => each.digest);
}

/** An artifact with a signature of the release job, trusted in the source and exported. */
async function exportSigned(repository: string, place: string): Promise<{ readonly artifact: Artifact; readonly signature: string }> {
  const artifact = await source.push(repository);
  const signature = await source.attach(artifact, await source.sigstore.keyless(CI, statementOf(artifact.digest)));
  expect(await source.act(artifact, "promote")).toMatchObject({ status: 200 });
  const { url, directory } = source.registry;
  const env = { HOME: folder, REGISTRY_URL: url, REGISTRY_DIR: directory };
  expect(await runSecurectl(["export", artifact.ref, place], env)).toMatchObject({ exit: 0 });
  return { artifact, signature };
}

/** What an export from a registry proves to who has its key. */
async function provenBy({ registry }: PolicyRegistry, ref: string): Promise<readonly string[]> {
  const env = { HOME: folder, REGISTRY_URL: registry.url, REGISTRY_DIR: registry.directory };
  expect(await runSecurectl(["export", ref, at("onward")], env)).toMatchObject({ exit: 0 });
  const pems = (await listAttestationKeys(registry.services)).map(({ pem }) => pem);
  await writeFile(at("keys.pem"), pems.join("\n"));
  const { out } = await runSecurectl(["verify-layout", at("onward"), "--key", at("keys.pem"), "--json"], {});
  const { faults, states } = layoutReport.parse(JSON.parse(out));
  expect(faults).toEqual([]);
  return states.filter(({ state }) => state === "trusted").map(({ repository, digest }) => `${repository}@${digest}`);
}

/** What the index names and whose manifest has this in it. */
async function entriesWith(place: string, predicate: string): Promise<readonly Descriptor[]> {
  const { manifests } = JSON.parse(await readFile(join(place, "index.json"), "utf8")) as { manifests: Descriptor[] };
  const read = manifests.map(async (entry) => ({ entry, text: await readFile(join(place, pathOf(entry.digest)), "utf8") }));
  return (await Promise.all(read)).filter(({ text }) => text.includes(predicate)).map(({ entry }) => entry);
}

describe("what another registry exported", () => {
  test.each(["layout", "layout.tar"])(
    "comes in as %s, quarantined and with its evidence, and is promoted by this registry's own policy",
    async (name) => {
      const repository = `models/taken-${name.replace(".", "-")}`;
      const { artifact, signature } = await exportSigned(`${repository}-source`, at(name));
      await target.putPolicy(target.signedPolicy(name.replace(".", "-"), repository));
      const report = await imported(at(name), `${repository}:v1`);
      expect(report.artifacts).toEqual([
        { digest: artifact.digest, artifact_type: "application/vnd.test.model", state: "quarantined", tags: ["v1"] },
      ]);
      expect(await stateOf(repository, artifact.digest)).toBe("quarantined");
      const attached = await referrersOf(repository, artifact.digest);
      expect(attached).toContain(signature);
      const states = await Promise.all(attached.map((digest) => stateOf(repository, digest)));
      expect(states).not.toContain("trusted");
      // The keys and grounds of the source are attached to nothing.
      expect(report.left_out.length).toBeGreaterThan(0);
      for (const { digest } of report.left_out) expect(await stateOf(repository, digest)).toBeUndefined();
      expect((await target.send("runtime", `GET /v2/${repository}/manifests/v1`)).status).toBe(404);

      const here = { ...artifact, repository, ref: `${repository}:v1` };
      expect(await target.act(here, "promote")).toMatchObject({ status: 200 });
      expect((await target.send("runtime", `GET /v2/${repository}/manifests/v1`)).status).toBe(200);
      expect(await provenBy(target, here.ref)).toEqual([`${repository}@${artifact.digest}`]);
    },
  );

  test("is not promoted for being trusted there: without its signature the policy refuses it", async () => {
    const { artifact, signature } = await exportSigned("models/bare", at("layout"));
    const index = JSON.parse(await readFile(at("layout", "index.json"), "utf8")) as { manifests: Descriptor[] };
    const others = index.manifests.filter(({ digest }) => digest !== signature);
    const manifests = others.map(({ mediaType, digest, size }) => ({ mediaType, digest, size }));
    await writeFile(at("layout", "index.json"), JSON.stringify({ ...index, manifests }));
    await target.putPolicy(target.signedPolicy("bare", "models/bare"));
    expect(await imported(at("layout"), "models/bare:v1")).toMatchObject({ artifacts: [{ digest: artifact.digest, tags: ["v1"] }] });
    const refused = await target.act({ ...artifact, repository: "models/bare" }, "promote");
    expect([refused.status, refused.decision.allowed]).toEqual([422, false]);
    expect(await stateOf("models/bare", artifact.digest)).toBe("quarantined");
  });

  test("comes in without what this registry would seem to have said, so that its own exports still prove something", async () => {
    const namesake = await PolicyRegistry.start({ env: { PUBLIC_URL: source.registry.url } }, source.sigstore);
    const way = new Gateway(namesake.registry.url);
    await way.open();
    onTestFinished(async () => {
      await way.close();
      await namesake.registry.stop();
    });
    const { artifact, signature } = await exportSigned("models/namesake", at("layout"));
    const env = { HOME: folder, REGISTRY_URL: way.url, SECURECTL_TOKEN: namesake.registry.credentials.publisher };
    const { exit, out } = await runSecurectl(["import", at("layout"), "models/namesake", "--json"], env);
    const report = definitions.ImportReport.parse(JSON.parse(out));
    expect([exit, report.attached]).toEqual([0, 1]);
    expect(new Set(report.left_out.map(({ because }) => because))).toEqual(
      new Set([
        "it is no artifact, and attached to nothing",
        "it is a snapshot, which says something of that layout alone",
        "it claims to be a statement of this registry",
      ]),
    );
    const { json } = await namesake.send("publisher", `GET /v2/models/namesake/referrers/${artifact.digest}`);
    expect((json as { manifests: Descriptor[] }).manifests.map(({ digest }) => digest)).toContain(signature);
    expect(await namesake.act(artifact, "promote")).toMatchObject({ status: 200 });
    expect(await provenBy(namesake, artifact.ref)).toEqual([`models/namesake@${artifact.digest}`]);

    // Somebody else's program copies everything.
    const [snapshot] = await entriesWith(at("layout"), "trust-snapshot/v1");
    const manifest = await readFile(at("layout", pathOf(snapshot?.digest ?? digestOf(""))), "utf8");
    for (const { digest } of (JSON.parse(manifest) as { layers: Descriptor[] }).layers) {
      await namesake.pushBlob("models/namesake", await readFile(at("layout", pathOf(digest))));
    }
    await namesake.pushManifest("models/namesake", digestOf(manifest), manifest);
    await rm(at("onward"), { recursive: true });
    expect(await provenBy(namesake, artifact.ref)).toHaveLength(1);
  });

  test("is sent once: what is there is only looked at", async () => {
    await exportSigned("models/once", at("layout.tar"));
    const first = await imported(at("layout.tar"), "models/once");
    expect(first.sent).toMatchObject({ blobs: first.blobs, bytes: first.size, tags: 1 });
    gateway.writes.length = 0;
    const second = await imported(at("layout.tar"), "models/once");
    expect(gateway.writes).toEqual([]);
    expect(second).toEqual({ ...first, sent: { blobs: 0, bytes: 0, manifests: 0, tags: 0 } });
  });

  test("goes on where it was cut off, wherever that is", async () => {
    const { artifact, signature } = await exportSigned("models/cut", at("layout"));
    await imported(at("layout"), "models/whole");
    const whole = gateway.writes.length;
    gateway.writes.length = 0;
    let runs = 0;
    for (let exit = 1; exit !== 0; runs += 1) {
      gateway.allowed = 3;
      ({ exit } = await securectl(["import", at("layout"), "models/cut"]));
      expect(runs).toBeLessThan(whole);
    }
    expect(runs).toBeGreaterThan(2);
    const manifests = gateway.writes.filter((each) => each.startsWith("PUT") && each.includes("/manifests/"));
    expect(new Set(manifests).size).toBe(manifests.length);
    expect(await stateOf("models/cut", artifact.digest)).toBe("quarantined");
    expect(await referrersOf("models/cut", artifact.digest)).toContain(signature);
  });
});

const NAME = "org.opencontainers.image.ref.name";
type Files = Record<string, string>;

function pathOf(digest: Digest): string {
  return `blobs/sha256/${encodedOf(digest)}`;
}

function entryOf(manifest: object, name?: string): { readonly digest: Digest } {
  const { mediaType } = manifest as { mediaType: string };
  return { ...descriptorOf(JSON.stringify(manifest), mediaType), ...(name !== undefined && { annotations: { [NAME]: name } }) };
}

/** The files of a layout as oras writes one: every manifest is listed, those without a tag as well. */
function filesOf(entries: readonly (readonly [object, string?])[], blobs: readonly string[]): Files {
  const files: Files = { "oci-layout": '{"imageLayoutVersion":"1.0.0"}' };
  for (const content of [...blobs, ...entries.map(([manifest]) => JSON.stringify(manifest))]) files[pathOf(digestOf(content))] = content;
  const manifests = entries.map(([manifest, name]) => entryOf(manifest, name));
  return { ...files, "index.json": JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }) };
}

async function writeFiles(files: Files, name = "layout"): Promise<string> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(at(name, path)), { recursive: true });
    await writeFile(at(name, path), content);
  }
  return at(name);
}

const WEIGHTS = "weights of a model";
const PART = imageOf([WEIGHTS]);
const OTHER = imageOf([WEIGHTS], { annotations: { which: "other" } });
const TREE = indexOf([PART, OTHER]);
const SIGNATURE = signatureOf(TREE, "signature");
const BLOBS = ["{}", WEIGHTS, "signature"];

describe("a layout of another program", () => {
  test("comes in with all its tags; parts are not held by themselves, so that the whole can be promoted", async () => {
    const place = await writeFiles(filesOf([[TREE, "v2"], [PART, "part"], [OTHER], [SIGNATURE]], BLOBS));
    const report = await imported(place, "models/tree");
    expect(report).toMatchObject({
      artifacts: [{ digest: digestIn(TREE), state: "quarantined", tags: ["v2"] }],
      attached: 1,
      left_out: [],
    });
    expect(await stateOf("models/tree", digestIn(PART))).toBe("acquired");
    expect(await stateOf("models/tree", digestIn(SIGNATURE))).toBe("acquired");
    const { json } = await target.send("publisher", "GET /v2/models/tree/tags/list");
    expect(json).toMatchObject({ tags: ["part", "v2"] });
    expect((await target.send("operator", `POST /v1/artifacts/models/tree@${digestIn(TREE)}/promote`, "{}")).status).toBe(200);

    // What a trusted artifact contains is served, and cannot be held.
    const alone = await writeFiles(filesOf([[PART, "part"]], BLOBS), "alone");
    const { exit, out, err } = await securectl(["import", alone, "models/tree"]);
    expect([exit, out]).toEqual([0, expect.stringContaining("acquired")]);
    expect(err).toContain(`${digestIn(PART)} stays acquired: a trusted artifact contains this one`);
    const again = await securectl(["import", place, "models/tree:v2"]);
    expect([again.exit, again.out]).toEqual([0, expect.stringContaining("trusted")]);
    expect(again.err).toContain("is trusted here already, and stays so");
    expect(await stateOf("models/tree", digestIn(TREE))).toBe("trusted");
  });

  test("comes in without a name too: what is no evidence and part of nothing is the artifact", async () => {
    const loose = signatureOf(imageOf(["elsewhere"]), "signature");
    const place = await writeFiles(filesOf([[OTHER], [SIGNATURE], [PART], [TREE], [loose]], BLOBS));
    expect(await imported(place, "models/unnamed:v7")).toMatchObject({
      artifacts: [{ digest: digestIn(TREE), tags: ["v7"] }],
      attached: 1,
      left_out: [{ digest: digestIn(loose), because: "it is attached to what is not imported" }],
    });
  });

  test("gives the one of its artifacts that a tag names, or the only one by a tag of ours; else it has to be said which", async () => {
    const single = imageOf([WEIGHTS], { annotations: { which: "single" } });
    const place = await writeFiles(
      filesOf(
        [
          [PART, "a"],
          [single, "b"],
        ],
        BLOBS,
      ),
    );
    const report = await imported(place, "models/named:b");
    expect(report.artifacts).toMatchObject([{ digest: digestIn(single), tags: ["b"] }]);
    expect(report.left_out).toEqual([{ digest: digestIn(PART), because: "it is not what was asked for" }]);
    const { exit, err } = await securectl(["import", place, "models/named:c"]);
    expect([exit, err]).toEqual([2, expect.stringContaining("name one of a, b")]);
    const both = await imported(place, "models/named");
    expect(both.artifacts.map(({ tags }) => tags)).toEqual([["a"], ["b"]]);
    const odd = await writeFiles(filesOf([[PART, "registry.example/models:v1"]], BLOBS), "odd");
    expect((await imported(odd, "models/odd:v1")).artifacts).toMatchObject([{ tags: ["v1"] }]);
    const untagged = await securectl(["import", odd, "models/odder"]);
    expect([untagged.exit, untagged.err]).toEqual([0, expect.stringContaining('"registry.example/models:v1" is no tag')]);
  });

  test("keeps the signatures that cosign wrote under tags of their own", async () => {
    const artifact = imageOf([WEIGHTS], { annotations: { which: "legacy" } });
    const claim = JSON.stringify({
      critical: { identity: {}, image: { "docker-manifest-digest": digestIn(artifact) }, type: "cosign container image signature" },
      optional: null,
    });
    const annotations = { "dev.cosignproject.cosign/signature": target.security.sign(Buffer.from(claim)).toString("base64") };
    const layer = { ...descriptorOf(claim, "application/vnd.dev.cosign.simplesigning.v1+json"), annotations };
    const signed = imageOf([], { layers: [layer] });
    const tag = `sha256-${encodedOf(digestIn(artifact))}.sig`;
    const place = await writeFiles(
      filesOf(
        [
          [artifact, "v1"],
          [signed, tag],
          [imageOf([]), `sha256-${"0".repeat(64)}.sig`],
        ],
        ["{}", WEIGHTS, claim],
      ),
    );
    const report = await imported(place, "models/legacy");
    expect(report).toMatchObject({ artifacts: [{ digest: digestIn(artifact), tags: ["v1"] }], attached: 1 });
    expect(report.left_out).toHaveLength(1);
    const evidence = { kind: "signature", formats: ["bundle", "cosign-legacy"] };
    const authorities = [{ type: "key", name: "team", keys: [{ id: "team", pem: target.security.pem }] }];
    await target.putPolicy(policyOf("legacy", "models/legacy", { authorities, require: [{ name: "signed", anyOf: ["team"], evidence }] }));
    expect((await target.send("operator", "POST /v1/artifacts/models/legacy:v1/promote", "{}")).status).toBe(200);
  });

  test("imports what is attached to what is attached, and what nobody lists but another list of referrers", async () => {
    const onSignature = JSON.parse(bundleManifest(entryOf(SIGNATURE) as unknown as Artifact, "{}")) as object;
    const list = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [entryOf(SIGNATURE), entryOf(onSignature)] };
    const files = filesOf(
      [
        [TREE, "v1"],
        [list, digestIn(TREE).replace(":", "-")],
      ],
      BLOBS,
    );
    for (const manifest of [PART, OTHER, SIGNATURE, onSignature]) files[pathOf(digestIn(manifest))] = JSON.stringify(manifest);
    const report = await imported(await writeFiles(files), "models/listed");
    expect(report).toMatchObject({ artifacts: [{ tags: ["v1"] }], attached: 2 });
    expect(await referrersOf("models/listed", digestIn(SIGNATURE))).toEqual([digestIn(onSignature)]);
  });
});

const good = (): Files => filesOf([[TREE, "v1"], [PART], [OTHER], [SIGNATURE]], BLOBS);
const deep = (): Files => {
  const levels: object[] = [PART];
  for (let depth = 0; depth < 9; depth += 1) {
    const child = entryOf(levels.at(-1) ?? {});
    levels.push({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [child] });
  }
  const last = levels.pop() ?? {};
  return filesOf([[last, "v1"], ...levels.map((level) => [level] as const)], BLOBS);
};
/** Two manifests cannot name each other; one of them has other bytes than its digest says. */
const circle = (): Files => {
  const [first, second] = [imageOf([WEIGHTS], { annotations: { which: "circle" } }), imageOf([WEIGHTS], { subject: entryOf(PART) })];
  const files = filesOf([[PART, "v1"], [second]], BLOBS);
  return { ...files, [pathOf(digestIn(PART))]: JSON.stringify({ ...first, subject: entryOf(second) }) };
};
const indexed = (change: (entries: Record<string, unknown>[]) => unknown[]): Files => {
  const files = good();
  const index = JSON.parse(files["index.json"] ?? "") as { manifests: Record<string, unknown>[] };
  return { ...files, "index.json": JSON.stringify({ ...index, manifests: change(index.manifests) }) };
};
const without = (digest: Digest): Files => Object.fromEntries(Object.entries(good()).filter(([path]) => path !== pathOf(digest)));
const wrongSize = imageOf([], { layers: [{ ...descriptorOf(WEIGHTS), size: 3 }] });

describe("before anything is pushed", () => {
  test.each<readonly [string, string, () => Files]>([
    ["other weights than their digest says", "blob-corrupt", () => ({ ...good(), [pathOf(digestOf(WEIGHTS))]: "poison of a model!" })],
    ["another part than its digest says", "blob-corrupt", () => ({ ...good(), [pathOf(digestIn(PART))]: JSON.stringify(OTHER) })],
    ["another signature than its digest says", "blob-corrupt", () => ({ ...good(), [pathOf(digestOf("signature"))]: "signaturf" })],
    ["missing weights", "blob-missing", () => without(digestOf(WEIGHTS))],
    ["a missing part", "blob-missing", () => without(digestIn(OTHER))],
    ["a missing artifact", "blob-missing", () => without(digestIn(TREE))],
    ["missing content of evidence", "blob-missing", () => without(digestOf("signature"))],
    ["subjects in a circle", "blob-corrupt", circle],
    ["manifests nested too deep", "layout-too-large", deep],
    [
      "a name for two",
      "layout-invalid",
      () =>
        filesOf(
          [
            [PART, "v1"],
            [OTHER, "v1"],
          ],
          BLOBS,
        ),
    ],
    [
      "a blob of two sizes",
      "blob-corrupt",
      () =>
        filesOf(
          [
            [PART, "v1"],
            [wrongSize, "v2"],
          ],
          BLOBS,
        ),
    ],
    ["a manifest of two types", "layout-invalid", () => indexed((all) => [...all, { ...all[0], mediaType: OCI_IMAGE }])],
    ["a manifest that is none", "layout-invalid", () => filesOf([[{ mediaType: OCI_IMAGE }, "v1"]], BLOBS)],
    ["manifests without end", "layout-too-large", () => indexed((all) => [...all, { ...entryOf(imageOf(["x"])), size: 200_000_000 }])],
    ["no artifact", "layout-invalid", () => filesOf([[signatureOf(PART, "signature")]], BLOBS)],
  ])("a layout with %s is refused as %s", async (title, code, files) => {
    const repository = `models/refused-${title.replaceAll(" ", "-")}`;
    const { exit, out, err } = await securectl(["import", await writeFiles(files()), repository]);
    expect([exit, out, err]).toEqual([6, "", expect.stringContaining(`error: ${code}: `)]);
    expect(gateway.writes).toEqual([]);
  });

  test("whatever byte of a blob is changed, the layout is refused", async () => {
    const paths = Object.keys(good()).filter((path) => path.startsWith("blobs/"));
    const change = fc.record({ path: fc.constantFrom(...paths), place: fc.nat(), flip: fc.integer({ min: 1, max: 127 }) });
    const place = await writeFiles(good());
    await fc.assert(
      fc.asyncProperty(change, async ({ path, place: where, flip }) => {
        const bytes = await readFile(join(place, path));
        const changed = Buffer.from(bytes);
        const offset = where % bytes.length;
        changed.writeUInt8(changed.readUInt8(offset) ^ flip, offset);
        await writeFile(join(place, path), changed);
        const { exit, err } = await securectl(["import", place, "models/changed"]);
        await writeFile(join(place, path), bytes);
        expect([exit, err]).toEqual([6, expect.stringContaining("blob-corrupt: ")]);
      }),
      { numRuns: 40 },
    );
    expect(gateway.writes).toEqual([]);
  });

  test("links, and names that are too many or lead elsewhere, are refused", async () => {
    const members = Object.entries(good()).map(([name, content]) => ({ name, content }));
    const bad: Readonly<Record<string, Parameters<typeof buildTar>[0]>> = {
      "escape.tar": [...members, { name: "../evil", content: "x" }],
      "link.tar": [...members, { name: "blobs/sha256/link", type: "2" }],
      "twice.tar": [...members, { name: pathOf(digestOf(WEIGHTS)), content: WEIGHTS }],
    };
    for (const [name, archive] of Object.entries(bad)) await writeFile(at(name), buildTar(archive));
    const linked = await writeFiles(good(), "linked");
    await rm(join(linked, pathOf(digestOf(WEIGHTS))));
    await symlink("/etc/passwd", join(linked, pathOf(digestOf(WEIGHTS))));
    for (const name of [...Object.keys(bad), "linked"]) {
      const { exit, err } = await securectl(["import", at(name), "models/links"]);
      expect([name, exit, err]).toEqual([name, 6, expect.stringContaining("archive-unsafe: ")]);
    }
    const huge = await writeFiles(good(), "huge");
    await truncate(join(huge, "index.json"), 40 * 1_048_576);
    const refused = await securectl(["import", huge, "models/links"]);
    expect([refused.exit, refused.err]).toEqual([6, expect.stringContaining("layout-too-large: ")]);
    expect(await securectl(["import", at("nothing"), "models/links"])).toMatchObject({ exit: 2 });
    expect(gateway.writes).toEqual([]);
  });

  test("what is revoked here is refused, and evidence that is revoked here is left out", async () => {
    const place = await writeFiles(good());
    await imported(place, "models/revoked");
    expect(await revoke("models/revoked", digestIn(SIGNATURE))).toBe(200);
    const report = await imported(place, "models/revoked");
    expect(report).toMatchObject({ attached: 0, left_out: [{ digest: digestIn(SIGNATURE), because: "this registry denies it" }] });
    expect(await revoke("models/revoked", digestIn(TREE))).toBe(200);
    gateway.writes.length = 0;
    for (const token of [target.registry.credentials.publisher, target.registry.credentials.operator]) {
      const { exit, err } = await securectl(["import", place, "models/revoked"], token);
      expect([exit, err]).toEqual([4, expect.stringContaining(`${digestIn(TREE)} is revoked in models/revoked: nothing was pushed`)]);
    }
    expect(gateway.writes).toEqual([]);
    expect(await stateOf("models/revoked", digestIn(TREE))).toBe("revoked");
  });

  test("what was revoked everywhere gets in nowhere", async () => {
    const banned = imageOf([WEIGHTS], { annotations: { which: "banned" } });
    const place = await writeFiles(filesOf([[banned, "v1"]], BLOBS));
    await imported(place, "models/banned");
    const body = '{"reason":"bad","everywhere":true}';
    const path = `POST /v1/artifacts/models/banned@${digestIn(banned)}/revoke`;
    expect((await target.send("operator", path, body)).status).toBe(200);
    expect(await securectl(["import", place, "models/elsewhere"])).toMatchObject({ exit: 4 });
    expect(await stateOf("models/elsewhere", digestIn(banned))).toBeUndefined();
  });

  test("a place that is none, and a caller who may not push, are refused", async () => {
    const place = await writeFiles(good());
    for (const where of ["Models/X", "models/x@v1", `models/x@${digestIn(TREE)}`, "models/x:-"]) {
      expect(await securectl(["import", place, where])).toMatchObject({ exit: 2 });
    }
    expect(gateway.writes).toEqual([]);
    const { exit } = await securectl(["import", place, "models/denied"], target.registry.credentials.runtime);
    expect(exit).toBe(4);
    expect(await stateOf("models/denied", digestIn(TREE))).toBeUndefined();
  });
});
