import { createHash, randomBytes } from "node:crypto";
import { must } from "../../must.ts";
import type { Wire } from "./wire.ts";

/** Bytes with the type that a manifest says they have. */
export interface Blob {
  readonly mediaType: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A model as a client pushes it: what its tools make of one file of weights. */
export interface Model {
  readonly manifestType: string;
  readonly artifactType?: string;
  readonly config: Blob;
  readonly layers: readonly Blob[];
}

/** Weights of which there are no others: a little over three of the chunks that replays send. */
export const WEIGHTS_SIZE = 3_200_000;
/** Bytes of a chunk, and of a part; clients take many times as much of what is many times as large. */
export const CHUNK_SIZE = 1_000_000;

export const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
export const DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";

export function newWeights(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(randomBytes(WEIGHTS_SIZE));
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

function descriptorOf({ mediaType, bytes }: Blob): object {
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}

/** The manifest of a model, as bytes. */
export function manifestOf({ manifestType, artifactType, config, layers }: Model): Uint8Array<ArrayBuffer> {
  const type = artifactType === undefined ? {} : { artifactType };
  const manifest = { schemaVersion: 2, mediaType: manifestType, ...type, config: descriptorOf(config), layers: layers.map(descriptorOf) };
  return new TextEncoder().encode(JSON.stringify(manifest));
}

/** The offsets, first and last byte, of the parts of so many bytes. */
export function partsOf(size: number, length: number): readonly (readonly [number, number])[] {
  return Array.from({ length: Math.ceil(size / length) }, (_, at) => [at * length, Math.min(size, (at + 1) * length) - 1] as const);
}

/** The address that an answer names. */
export function locationOf(answer: Response): string {
  const location = answer.headers.get("location");
  must(location !== null, `${answer.status} has no Location`);
  return new URL(location, answer.url).href;
}

/** An address with parameters added to those it has. */
export function withParameters(address: string, parameters: Readonly<Record<string, string>>): string {
  const url = new URL(address);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

export async function bytesOf(answer: Response): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await answer.arrayBuffer());
}

/** Asks for parts of a blob all at once, each of which must come as itself, and puts them together. */
export async function readInParts(wire: Wire, digest: string, parts: readonly (readonly [number, number])[]): Promise<Uint8Array> {
  const read = await Promise.all(
    parts.map(async ([first, last]) => {
      const answer = await wire.send(`blobs/${digest}`, [206], { headers: { range: `bytes=${first}-${last}` } });
      const told = answer.headers.get("content-range") ?? "";
      must(told.startsWith(`bytes ${first}-${last}/`), `asked for bytes ${first}-${last}, got ${told}`);
      return bytesOf(answer);
    }),
  );
  return Buffer.concat(read);
}
