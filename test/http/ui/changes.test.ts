import { afterAll, expect, test } from "vitest";
import { digestOf } from "../../../src/oci/digest.ts";
import { buildGguf, named, text } from "../../formats/build-gguf.ts";
import { Browser, faultsOfPage } from "../../support/browser.ts";
import { policyOf } from "../../support/policy-registry.ts";
import { startViewed } from "../../support/viewers.ts";

const TITLE = "org.opencontainers.image.title";

const { world, operator, runtime } = await startViewed();
afterAll(() => world.registry.stop());

type Files = Readonly<Record<string, string | Uint8Array<ArrayBuffer>>>;

interface Pushed {
  readonly ref: string;
  readonly digest: string;
  readonly path: string;
}

async function push(repository: string, files: Files, { tag = "v1", note = "one" } = {}): Promise<Pushed> {
  for (const bytes of ["{}", ...Object.values(files)]) await world.pushBlob(repository, bytes);
  const layers = Object.entries(files).map(([title, bytes]) => ({
    mediaType: "application/octet-stream",
    digest: digestOf(bytes),
    size: Buffer.byteLength(bytes),
    annotations: { [TITLE]: title },
  }));
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    artifactType: "application/vnd.test.model",
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 },
    layers,
    annotations: { note },
  });
  await world.pushManifest(repository, tag, manifest);
  const digest = digestOf(manifest);
  return { ref: `${repository}@${digest}`, digest, path: `/ui/artifacts/${repository}@${digest}` };
}

async function promote({ ref }: Pushed): Promise<void> {
  const { status, text: said } = await world.send("operator", `POST /v1/artifacts/${ref}/promote`, "{}");
  if (status !== 200) throw new Error(said);
}

const model = (template: string, ...tensors: readonly string[]): Uint8Array<ArrayBuffer> =>
  new Uint8Array(
    buildGguf({
      metadata: named("llama", ["tokenizer.chat_template", text(template)]),
      tensors: tensors.map((name) => ({ name, type: 0, shape: [8], data: Buffer.alloc(32) })),
    }),
  );

test("what was pushed to a tag is compared to what runtimes find by it: files, annotations, tensors and metadata", async () => {
  const repository = "models/next";
  const first = await push(repository, { "model.gguf": model("{{ a }}", "w1", "w2"), "README.md": "one" });
  expect((await operator.get(`${first.path}/changes`)).text).toContain("Nothing else in this repository is trusted now");
  await promote(first);
  const files = { "model.gguf": model("{{ evil }}", "w1", "w3"), "README.md": "one", "run.py": "import os" };
  const second = await push(repository, files, { note: "two" });
  const { text: page } = await operator.get(`${second.path}/changes`);
  expect(faultsOfPage(page)).toEqual([]);
  expect(page).toMatch(/which runtimes find by the tag\s+<strong>v1<\/strong> now/);
  const [summary = "no summary"] = /1 added, 1 changed, 2 alike; \d+ bytes more/.exec(page) ?? [];
  expect(summary).toMatch(/^1 added/);
  expect(page).toMatch(/<bdi>run\.py<\/bdi>/);
  expect(page).toMatch(/<bdi>note<\/bdi><\/th>\s*<td[^>]*><bdi>one<\/bdi><\/td>\s*<td[^>]*><bdi>two<\/bdi>/);
  expect(page).toMatch(/<bdi>w2<\/bdi><\/th>\s*<td[^>]*><bdi>F32 8<\/bdi><\/td>\s*<td[^>]*><span class="soft">not there<\/span>/);
  expect(page).toContain("string {{ evil }}");
  const queue = await operator.get("/ui/review");
  expect(queue.text).toContain(`<a href="${second.path}/changes">${summary}</a>`);
  expect(faultsOfPage(queue.text)).toEqual([]);
  expect((await runtime.get(`${second.path}/changes`)).status).toBe(404);
  // Runtimes see what is trusted, and may compare it to what is.
  expect((await runtime.get(`${first.path}/changes`)).status).toBe(200);
}, 60_000);

test("without a tag in common it is compared to what became trusted last", async () => {
  const repository = "models/other-tag";
  const [old, newer] = [await push(repository, { a: "1" }, { tag: "old" }), await push(repository, { a: "2" }, { tag: "newer" })];
  await promote(old);
  await promote(newer);
  const { text: page } = await operator.get(`${(await push(repository, { b: "2" }, { tag: "third" })).path}/changes`);
  expect(page).toContain("the artifact of this repository that became trusted last");
  expect(page).toContain(newer.digest);
  expect(page).toContain("1 renamed, 1 alike; the same size");
});

test("which tags were pushed to a trusted artifact is not shown to who sees promoted ones alone", async () => {
  const repository = "models/pushed-elsewhere";
  const [old, now] = [await push(repository, { a: "1" }, { tag: "old" }), await push(repository, { a: "2" }, { tag: "prod" })];
  await promote(old);
  await promote(now);
  await push(repository, { a: "1" }, { tag: "prod" });
  const byTag = /which runtimes find by the tag\s+<strong>prod<\/strong> now/;
  expect((await operator.get(`${old.path}/changes`)).text).toMatch(byTag);
  const seen = await runtime.get(`${old.path}/changes`);
  expect(seen.text).toContain("the artifact of this repository that became trusted last");
  expect(seen.text).not.toMatch(byTag);
});

test("whose evidence counts is compared", async () => {
  await world.putPolicy(
    policyOf("people", "models/people", { require: [{ name: "people", evidence: { kind: "approvals", minimum: 1 } }] }),
  );
  const reviewer = await Browser.signedIn(world.registry, "ann", await world.identity("ann", "reviewer"));
  const first = await push("models/people", { a: "1" });
  expect((await reviewer.submit(first.path, `${first.path}/approve`)).status).toBe(303);
  await promote(first);
  const second = await push("models/people", { a: "2" });
  const { text: page } = await operator.get(`${second.path}/changes`);
  expect(page).toMatch(/Only of what is trusted now<\/dt>\s*<dd>\s*<ul>\s*<li><bdi>approved by ann<\/bdi>/);
});

/** A manifest of ten thousand layers with names that would be markup. */
function layersOf(mark: string): string {
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    artifactType: "a/b",
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 },
    layers: Array.from({ length: 10_000 }, (_, at) => ({
      mediaType: "application/octet-stream",
      digest: digestOf("weights"),
      size: 7,
      annotations: { [TITLE]: `"><script>${mark}${at}\u202E${'"'.repeat(100)}` },
    })),
  });
}

test("ten thousand files with hostile names are compared a page at a time", async () => {
  const repository = "models/many-changes";
  for (const blob of ["{}", "weights"]) await world.pushBlob(repository, blob);
  const [first, second] = [layersOf("a"), layersOf("b")];
  await world.pushManifest(repository, "v1", first);
  // Its names are none that `trusted/` takes, and so all of its layers are one file there.
  await promote({ ref: `${repository}@${digestOf(first)}`, digest: "", path: "" });
  await world.pushManifest(repository, "v1", second);
  const path = `/ui/artifacts/${repository}@${digestOf(second)}/changes`;
  const { text: page } = await operator.get(path);
  expect(faultsOfPage(page)).toEqual([]);
  expect(page).toContain("10000 renamed, 1 alike; the same size");
  expect(page).toContain("Files that differ, 1 to 15 of 10000");
  const { text: last } = await operator.get(`${path}?from=9990`);
  expect(last).toContain("Files that differ, 9991 to 10000 of 10000");
  expect(faultsOfPage(last)).toEqual([]);
}, 60_000);
