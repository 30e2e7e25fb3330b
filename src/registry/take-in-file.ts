import { type Hash, createHash } from "node:crypto";
import { type Digest, isDigest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { type IncomingFile, IncomingFileError } from "../storage/incoming-files.ts";
import type { Services } from "./ports.ts";
import { demandRoom, whileRoom } from "./reserve.ts";

type Needs = Pick<Services, "blobs" | "files" | "newId">;

/** Of the uploads that hold copies. */
const PREFIX = "file.";

/** A file of the data directory as a staged upload of ours; whoever still writes to the file changes nothing about it (RULES 24). */
export interface TakenFile {
  /** The id of the upload. */
  readonly upload: string;
  readonly digest: Digest;
  readonly size: number;
  /** Which file it was, see `IncomingFile`. */
  readonly identity: string;
}

/**
 * Takes a file in: by a clone where the file system can, else by one copy that is hashed while it is made; never by a hard link. Throws
 * CONFLICT for what is no plain file, or changes while it is copied. The caller discards the upload.
 */
export async function takeInFile(services: Needs, path: string): Promise<TakenFile> {
  await demandRoom(services);
  const file = await openFile(services, path);
  try {
    return await staged(services, file);
  } finally {
    await file.close();
  }
}

/** Discards the copies that killed processes have left, each as large as a model; only while no other process takes files in. */
export async function discardLeftCopies({ blobs }: Pick<Services, "blobs">): Promise<void> {
  for await (const upload of blobs.listStaged()) if (upload.startsWith(PREFIX)) await blobs.discard(upload);
}

/** The file of that name, held open; throws CONFLICT for what may not be taken in. */
async function openFile({ files }: Needs, path: string): Promise<IncomingFile> {
  try {
    return await files.open(path);
  } catch (error) {
    if (error instanceof IncomingFileError)
      throw new RegistryError("CONFLICT", `hash verification failed: ${error.message}`, { cause: error });
    throw error;
  }
}

async function staged(services: Needs, file: IncomingFile): Promise<TakenFile> {
  const { blobs } = services;
  const upload = `${PREFIX}${services.newId()}`;
  await blobs.stage(upload);
  try {
    const hash = createHash("sha256");
    const isClone = await blobs.clone(upload, file.fd);
    const size = isClone
      ? await hashAll(hash, await blobs.openStaged(upload, 0))
      : await blobs.append(upload, hashing(hash, whileRoom(services, file.bytes())), 0);
    if (!isClone && !(await file.isUnchanged()))
      throw new RegistryError("CONFLICT", "hash verification failed: artifact changed while hashing");
    const digest = `sha256:${hash.digest("hex")}`;
    if (!isDigest(digest)) throw new TypeError("not a digest");
    return { upload, digest, size, identity: file.identity };
  } catch (error) {
    await blobs.discard(upload);
    throw error;
  }
}

async function hashAll(hash: Hash, bytes: AsyncIterable<unknown>): Promise<number> {
  let size = 0;
  for await (const piece of bytes) {
    if (!(piece instanceof Uint8Array)) throw new TypeError("a stream of bytes");
    hash.update(piece);
    size += piece.byteLength;
  }
  return size;
}

async function* hashing(hash: Hash, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of bytes) {
    hash.update(piece);
    yield piece;
  }
}

/** Larger tensor manifests are not read (bytes; GUARD-NEW's bound). */
export const MAX_TENSOR_MANIFEST = 64 * 1024 ** 2;

/** A tensor manifest beside a model, with the digest that it has now; null when there is no such file yet. */
export async function tensorManifestOf(
  services: Pick<Needs, "files">,
  path: string,
): Promise<{ readonly path: string; readonly digest: Digest | null }> {
  if (path === "") return { path, digest: null };
  const file = await services.files.open(path).catch((error: unknown) => {
    if (error instanceof IncomingFileError) return undefined;
    throw error;
  });
  if (file === undefined) return { path, digest: null };
  try {
    if (file.size > MAX_TENSOR_MANIFEST) throw new RegistryError("CONFLICT", "gguf-guard manifest exceeds 64 MiB");
    const hash = createHash("sha256");
    await hashAll(hash, file.bytes());
    const digest = `sha256:${hash.digest("hex")}`;
    if (!isDigest(digest)) throw new TypeError("not a digest");
    return { path, digest };
  } finally {
    await file.close();
  }
}
