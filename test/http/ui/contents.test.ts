import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, expect, test } from "vitest";
import { digestOf } from "../../../src/oci/digest.ts";
import { buildTar } from "../../cli/build-tar.ts";
import { buildGguf, named, text } from "../../formats/build-gguf.ts";
import { faultsOfPage } from "../../support/browser.ts";
import { startViewed } from "../../support/viewers.ts";

const TITLE = "org.opencontainers.image.title";

const { world, operator, runtime } = await startViewed();
afterAll(() => world.registry.stop());

interface File {
  readonly bytes: string | Uint8Array<ArrayBuffer>;
  readonly title?: string;
  readonly mediaType?: string;
}

/** Pushes an artifact of these files under `v1`; the path of its page. */
async function pushed(repository: string, files: readonly File[], annotations: Readonly<Record<string, string>> = {}): Promise<string> {
  for (const bytes of ["{}", ...files.map((file) => file.bytes)]) await world.pushBlob(repository, bytes);
  const layers = files.map(({ bytes, title, mediaType = "application/octet-stream" }) => ({
    mediaType,
    digest: digestOf(bytes),
    size: Buffer.byteLength(bytes),
    ...(title !== undefined && { annotations: { [TITLE]: title } }),
  }));
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    artifactType: "application/vnd.test.model",
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 },
    layers,
    annotations,
  });
  await world.pushManifest(repository, "v1", manifest);
  return `/ui/artifacts/${repository}@${digestOf(manifest)}`;
}

const HOSTILE = `"><script>alert(1)</script>\u202E`;

test("the header of a model file is shown: what it says of itself, its metadata and its tensors, a page at a time", async () => {
  const tensors = Array.from({ length: 90 }, (_, at) => ({
    name: `blk.${String(at).padStart(2, "0")}.${at === 0 ? HOSTILE : "weight"}`,
    type: 0,
    shape: [8, 2],
    data: Buffer.alloc(64),
  }));
  const keys = Array.from({ length: 60 }, (_, at) => [`key.${String(at).padStart(2, "0")}`, text(HOSTILE.repeat(at))] as const);
  const bytes = new Uint8Array(buildGguf({ metadata: named("llama", ...keys), tensors }));
  const path = await pushed("models/inside", [{ bytes, title: "model.gguf" }]);
  const contents = await operator.get(`${path}/contents`);
  const inside = `${path}/contents?inside=${digestOf(bytes)}`;
  expect(contents.text).toContain(`href="${inside}">Look inside</a>`);
  await whenRead(inside);
  const first = await operator.get(inside);
  expect(first.text).toMatch(/<dt>Architecture<\/dt>\s*<dd><bdi>llama<\/bdi><\/dd>/);
  expect(first.text).toContain("Metadata 1 to 25 of 61");
  expect(first.text).toContain("Tensors 1 to 40 of 90");
  expect(first.text).toContain("8 × 2");
  const [metadata = "", more = ""] = [...first.text.matchAll(/rel="next" href="([^"]+)"/g)].map(([, href = ""]) =>
    href.replaceAll("&amp;", "&"),
  );
  expect((await operator.get(metadata)).text).toContain("Metadata 26 to 50 of 61");
  const second = await operator.get(more);
  expect(second.text).toContain("Tensors 41 to 80 of 90");
  expect(second.text).toContain("blk.40.weight");
  for (const page of [first, second, await operator.get(metadata), await operator.get(`${inside}&tensors=999999&metadata=999999`)]) {
    expect(page.status).toBe(200);
    expect(faultsOfPage(page.text)).toEqual([]);
    expect(page.text).not.toContain("\u202E");
  }
  // What it does not consist of, it does not show, whoever else has it.
  const other = await pushed("models/inside", [{ bytes: "weights", title: "model.safetensors" }]);
  expect((await operator.get(`${other}/contents?inside=${digestOf(bytes)}`)).text).toContain("What its manifest names");
  expect((await runtime.get(inside)).status).toBe(404);
}, 60_000);

test("a file that is no model says why its header cannot be read", async () => {
  const path = await pushed("models/broken", [{ bytes: "no model at all", title: "model.safetensors" }]);
  const { text: page } = await operator.get(`${path}/contents?inside=${digestOf("no model at all")}`);
  expect(page).toContain("It could not be read:");
  expect(faultsOfPage(page)).toEqual([]);
}, 60_000);

test("a file with the ending of an archive is not offered to be looked into", async () => {
  const path = await pushed("models/packed", [{ bytes: "x", title: "model.gguf", mediaType: "application/vnd.test.v1.tar+gzip" }]);
  expect((await operator.get(`${path}/contents`)).text).not.toContain("Look inside");
});

test("the README of an artifact is its model card, and stays text", async () => {
  const readme = `# Title\n${HOSTILE}\n[click](javascript:alert(1)) [paper](https://example.org/paper)\n![x](https://example.org/pixel.gif)`;
  const path = await pushed("models/card", [
    { bytes: "weights" },
    { bytes: "other", title: "docs/deep/README.md" },
    { bytes: readme, title: "README.md", mediaType: "text/markdown" },
  ]);
  const { text: page } = await operator.get(`${path}/card`);
  expect(page).toContain('<h3 dir="auto">Title</h3>');
  expect(page).toContain('<a href="https://example.org/paper" rel="noopener nofollow noreferrer">paper</a>');
  expect(page).toContain('<span class="soft">(example.org)</span>');
  expect(page).toContain("&lt;script&gt;");
  expect(page).not.toContain("pixel.gif");
  expect(faultsOfPage(page)).toEqual([]);
  expect((await runtime.get(`${path}/card`)).status).toBe(404);
});

test("a card of many megabytes is shown by its beginning, with how the whole of it is had", async () => {
  const readme = `# Large\n${"- a list item with **strong** words\n".repeat(100_000)}`;
  const path = await pushed("models/large-card", [{ bytes: readme, title: "README.md" }]);
  const { text: page } = await operator.get(`${path}/card`);
  expect(faultsOfPage(page)).toEqual([]);
  expect(page).toContain("This is its beginning.");
  expect(page).toMatch(/oras blob fetch --output README\.md 127\.0\.0\.1:\d+\/models\/large-card@sha256:/);
});

test("what stands in for a card: an annotation, packed documents, or what to do", async () => {
  const described = await pushed("models/described", [{ bytes: "weights" }], { "org.opencontainers.image.description": "A **small** one" });
  expect((await operator.get(`${described}/card`)).text).toContain("A <strong>small</strong> one");
  const kit = await pushed("models/kit", [{ bytes: "tar", mediaType: "application/vnd.kitops.modelkit.docs.v1.tar+gzip" }]);
  expect(await whenRead(`${kit}/card`)).toContain("kit unpack --filter=docs 127.0.0.1:");
  const none = await pushed("models/no-card", [{ bytes: "weights" }]);
  expect((await operator.get(`${none}/card`)).text).toContain("It has no model card.");
});

/** A page whose file has been read: on a busy machine that takes longer than a page waits. */
async function whenRead(path: string): Promise<string> {
  for (;;) {
    const { text: page } = await operator.get(path);
    if (!/(?:It is|it is still) being read/.test(page)) return page;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test.each(["", "+gzip", "+zstd"])(
  "a modelkit's archives%s are looked into: their files, the header of a model, and the card",
  async (suffix) => {
    const pack = (tar: Buffer): Uint8Array<ArrayBuffer> =>
      new Uint8Array(suffix === "" ? tar : suffix === "+gzip" ? gzipSync(tar) : zstdCompressSync(tar));
    const model = buildGguf({ metadata: named("llama", ["general.author", text(HOSTILE)]), tensors: [] });
    const archive = buildTar([
      { name: "models/", type: "5" },
      { name: "models/small.gguf", content: Buffer.from(model) },
      { name: "models/<b>notes.txt", content: "x" },
    ]);
    const repository = `models/kit${suffix.replace("+", "-")}`;
    const path = await pushed(repository, [
      { bytes: pack(archive), mediaType: `application/vnd.kitops.modelkit.model.v1.tar${suffix}` },
      { bytes: pack(buildTar([{ name: "LICENSE", content: "free" }])), mediaType: `application/vnd.kitops.modelkit.docs.v1.tar${suffix}` },
      {
        bytes: pack(buildTar([{ name: "./README.md", content: "# Packed card" }])),
        mediaType: `application/vnd.kitops.modelkit.docs.v1.tar${suffix}`,
      },
    ]);
    const { text: contents } = await operator.get(`${path}/contents`);
    const digest = digestOf(pack(archive));
    expect(contents).toContain(`contents?inside=${digest}"`);
    const files = await whenRead(`${path}/contents?inside=${digest}`);
    expect(files).toContain("models/small.gguf");
    expect(files).toContain("models/&lt;b&gt;notes.txt");
    expect(faultsOfPage(files)).toEqual([]);
    const link = /contents\?inside=[^"]+member=[^"]+/.exec(files)?.[0].replaceAll("&amp;", "&");
    expect(link).toContain("member=0");
    const inside = await whenRead(`${path}/${link}`);
    expect(inside).toContain("llama");
    expect(inside).toContain("general.author");
    expect(inside).not.toContain("<script>");
    expect(faultsOfPage(inside)).toEqual([]);
    expect((await operator.get(`${path}/contents?inside=${digest}&member=2`)).text).toContain("has fewer files than that");
    const card = await whenRead(`${path}/card`);
    expect(card).toContain('<h3 dir="auto">Packed card</h3>');
    expect(card).toContain("README.md, which is packed with other documents");
    expect((await runtime.get(`${path}/contents?inside=${digest}`)).status).toBe(404);
  },
  60_000,
);

test("what is revoked is looked into by who may read it, and by nobody else", async () => {
  const readme = "# A card that leaks";
  const path = await pushed("models/withdrawn", [{ bytes: readme, title: "README.md" }]);
  const ref = path.slice("/ui/artifacts/".length);
  await world.send("operator", `POST /v1/artifacts/${ref}/promote`, "{}");
  expect((await runtime.get(`${path}/card`)).text).toContain("A card that leaks");
  await world.send("operator", `POST /v1/artifacts/${ref}/revoke`, '{"reason":"it leaks"}');
  const after = await runtime.get(`${path}/card`);
  expect(after.status).toBe(200);
  expect(after.text).not.toContain("A card that leaks");
});
