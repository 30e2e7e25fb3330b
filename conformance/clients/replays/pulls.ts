import { z } from "zod";
import { must } from "../../must.ts";
import { CHUNK_SIZE, bytesOf, digestOf, partsOf, readInParts } from "./content.ts";
import type { Wire } from "./wire.ts";

const descriptor = z.object({ mediaType: z.string(), digest: z.string(), size: z.number() });
const manifest = z.object({ config: descriptor, layers: z.array(descriptor) });
type Descriptor = z.infer<typeof descriptor>;

/** How a client pulls one blob. */
type BlobPull = (wire: Wire, blob: Descriptor) => Promise<Uint8Array>;

/** One GET of everything: oras, kit, modctl. */
export const pullWhole: BlobPull = async (wire, { digest }) => bytesOf(await wire.send(`blobs/${digest}`, [200]));

/** A GET that is broken off, and one for what is missing, which must begin exactly there: Docker Model Runner. */
export const pullAndResume: BlobPull = async (wire, { digest, size }) => {
  const begun = await wire.send(`blobs/${digest}`, [200]);
  const head = await beginningOf(begun);
  must(head.length > 0 && head.length < size, "there is nothing to resume");
  const rest = await wire.send(`blobs/${digest}`, [206], { headers: { range: `bytes=${head.length}-` } });
  must(rest.headers.get("content-range") === `bytes ${head.length}-${size - 1}/${size}`, "resumed elsewhere");
  return Buffer.concat([head, await bytesOf(rest)]);
};

/** What comes first of an answer, which is then broken off. */
async function beginningOf(answer: Response): Promise<Uint8Array> {
  for await (const chunk of answer.body ?? []) return z.instanceof(Uint8Array).parse(chunk);
  return new Uint8Array();
}

/** HEAD for the size, a GET to see whether it leads elsewhere, and sixteen parts at once: ollama. */
export const pullAsOllama: BlobPull = async (wire, { digest }) => {
  const size = await sizeOf(wire, digest);
  const answer = await wire.send(`blobs/${digest}`, [200, 307]);
  await answer.body?.cancel();
  return readInParts(wire, digest, partsOf(size, Math.ceil(size / 16)));
};

/** The head of the file, as a tensor's place is looked up in it, and then a hundred parts at once: what reads models off a hub. */
export const pullInManyParts: BlobPull = async (wire, { digest }) => {
  const size = await sizeOf(wire, digest);
  const length = await readInParts(wire, digest, [[0, 7]]);
  const header = await readInParts(wire, digest, [[8, CHUNK_SIZE / 10]]);
  const whole = await readInParts(wire, digest, partsOf(size, Math.ceil(size / 100)));
  must(Buffer.concat([length, header]).equals(whole.subarray(0, CHUNK_SIZE / 10 + 1)), "the head of the file is another one");
  const tail = await wire.send(`blobs/${digest}`, [206], { headers: { range: "bytes=-100" } });
  must(Buffer.from(await bytesOf(tail)).equals(whole.subarray(size - 100)), "the end of the file is another one");
  return whole;
};

async function sizeOf(wire: Wire, digest: string): Promise<number> {
  const answer = await wire.send(`blobs/${digest}`, [200], { method: "HEAD" });
  must(answer.headers.get("accept-ranges") === "bytes", "HEAD does not offer ranges");
  return Number(answer.headers.get("content-length"));
}

/** Pulls what a reference names, and holds all of it to its digests; answers the layers. `head` asks for the manifest's digest first. */
export async function pullModel(
  wire: Wire,
  reference: string,
  { accept, head, blob }: { readonly accept: string; readonly head: boolean; readonly blob: BlobPull },
): Promise<readonly Uint8Array[]> {
  const headers = { accept };
  let named = reference;
  if (head)
    named = (await wire.send(`manifests/${reference}`, [200], { method: "HEAD", headers })).headers.get("docker-content-digest") ?? "";
  const body = await bytesOf(await wire.send(`manifests/${named}`, [200], { headers }));
  if (named.startsWith("sha256:")) must(digestOf(body) === named, "the manifest has another digest");
  const { config, layers } = manifest.parse(JSON.parse(new TextDecoder().decode(body)));
  must(digestOf(await pullWhole(wire, config)) === config.digest, "the config has another digest");
  const pulled: Uint8Array[] = [];
  for (const layer of layers) pulled.push(await blob(wire, layer));
  for (const [at, layer] of layers.entries()) must(digestOf(pulled[at] ?? new Uint8Array()) === layer.digest, "a layer has another digest");
  return pulled;
}
