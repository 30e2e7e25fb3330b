import { type KeyObject, createHash, createPublicKey, sign } from "node:crypto";
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { keyHint, preAuthEncoding, sigstoreBundle } from "../src/lifecycle/dsse.ts";

const BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json";

const descriptor = z.looseObject({ mediaType: z.string(), digest: z.string(), size: z.number() });
export type Entry = z.infer<typeof descriptor>;
const index = z.looseObject({ manifests: z.array(descriptor) });
const manifestSchema = z.looseObject({
  subject: descriptor.optional(),
  layers: z.array(descriptor).default([]),
  annotations: z.record(z.string(), z.string()).default({}),
});
export type Manifest = z.infer<typeof manifestSchema>;
const bundleSchema = z.object({
  dsseEnvelope: z.object({ payload: z.base64(), signatures: z.array(z.object({ sig: z.base64() })) }),
});

/** A statement of a layout: who holds it, what it says, and its signature. */
export interface Held {
  readonly entry: Entry;
  readonly manifest: Manifest;
  readonly payload: string;
  readonly signature: Buffer;
}

/** A layout in a folder, which somebody changes who knows how layouts are made: whatever is changed gets its right digest again. */
export class LayoutCopy {
  readonly place: string;

  constructor(place: string) {
    this.place = place;
  }

  static async of(original: string, place: string): Promise<LayoutCopy> {
    await cp(original, place, { recursive: true });
    return new LayoutCopy(place);
  }

  pathOf(digest: string): string {
    return join(this.place, "blobs", digest.replace(":", "/"));
  }

  async entries(): Promise<readonly Entry[]> {
    return index.parse(JSON.parse(await readFile(join(this.place, "index.json"), "utf8"))).manifests;
  }

  async writeEntries(manifests: readonly Entry[]): Promise<void> {
    await writeFile(join(this.place, "index.json"), JSON.stringify({ schemaVersion: 2, manifests }));
  }

  async manifest({ digest }: Pick<Entry, "digest">): Promise<Manifest> {
    return manifestSchema.parse(JSON.parse(await readFile(this.pathOf(digest), "utf8")));
  }

  /** All bundles with a DSSE envelope. */
  async statements(): Promise<readonly Held[]> {
    const held: Held[] = [];
    for (const entry of await this.entries()) {
      const manifest = await this.manifest(entry);
      for (const layer of manifest.layers.filter(({ mediaType }) => mediaType === BUNDLE)) {
        const { dsseEnvelope } = bundleSchema.parse(JSON.parse(await readFile(this.pathOf(layer.digest), "utf8")));
        const payload = Buffer.from(dsseEnvelope.payload, "base64").toString("utf8");
        held.push({ entry, manifest, payload, signature: Buffer.from(dsseEnvelope.signatures[0]?.sig ?? "", "base64") });
      }
    }
    return held;
  }

  /** The one entry, or the last one, whose manifest has an annotation with this value. */
  async annotated(name: string, value: string): Promise<Entry> {
    const found: Entry[] = [];
    for (const entry of await this.entries()) if ((await this.manifest(entry)).annotations[name] === value) found.push(entry);
    const last = found.at(-1);
    if (last === undefined) throw new Error(`nothing is annotated with ${name}=${value}`);
    return last;
  }

  async drop(gone: Pick<Entry, "digest">): Promise<void> {
    await this.writeEntries((await this.entries()).filter(({ digest }) => digest !== gone.digest));
  }

  async change(entry: Entry, change: (manifest: Manifest) => object): Promise<void> {
    const changed = await this.#put(Buffer.from(JSON.stringify(change(await this.manifest(entry)))));
    await this.writeEntries((await this.entries()).map((each) => (each.digest === entry.digest ? { ...each, ...changed } : each)));
  }

  /** Adds a statement as the registry would attach it, signed with whatever key. */
  async attach(payload: string, key: KeyObject, like: Held): Promise<void> {
    const bytes = sigstoreBundle(payload, sign("sha256", preAuthEncoding(payload), key), idOf(key));
    const layer = { mediaType: BUNDLE, ...(await this.#put(bytes)) };
    const manifest = await this.#put(Buffer.from(JSON.stringify({ ...like.manifest, layers: [layer] })));
    await this.writeEntries([...(await this.entries()), { ...like.entry, ...manifest }]);
  }

  async remove(digest: string): Promise<void> {
    await rm(this.pathOf(digest));
  }

  async #put(bytes: Uint8Array): Promise<{ readonly digest: string; readonly size: number }> {
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    await writeFile(this.pathOf(digest), bytes);
    return { digest, size: bytes.byteLength };
  }
}

/** How Sigstore clients name the public half of a key. */
function idOf(key: KeyObject): string {
  return keyHint(createPublicKey(key).export({ type: "spki", format: "der" }));
}
