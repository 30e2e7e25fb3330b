import { createHash, randomUUID } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Transform, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Digest, algorithmOf, digestFrom } from "../oci/digest.ts";

/** That of a published blob (`filesystem.ts`). */
const READ_ONLY = 0o444;
const PIECE = 512 * 1024;

/**
 * Copies a file under a name that is not taken if its bytes have this digest; else leaves nothing and is false. The bytes are durable, and
 * the name when its folder and those above are flushed (`syncFolders`). Rejects with code ENOENT when there is no such file.
 */
export async function copyVerified(from: string, to: string, digest: Digest): Promise<boolean> {
  const folder = dirname(to);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const temporary = join(folder, `.${randomUUID()}`);
  const hash = createHash(algorithmOf(digest));
  const hashing = new Transform({
    transform: (piece: Buffer, _, done) => {
      hash.update(piece);
      done(null, piece);
    },
  });
  try {
    const [source, sink] = [
      createReadStream(from, { highWaterMark: PIECE }),
      createWriteStream(temporary, { flags: "wx", mode: READ_ONLY, flush: true }),
    ];
    await pipeline(source, hashing, sink);
    if (digestFrom(algorithmOf(digest), hash.digest("hex")) !== digest) return false;
    await rename(temporary, to);
    return true;
  } finally {
    await rm(temporary, { force: true });
  }
}

/** The digest of a file. */
export async function fileDigest(path: string, algorithm: Parameters<typeof digestFrom>[0] = "sha256"): Promise<Digest> {
  const hash = createHash(algorithm);
  const hashing = new Writable({
    write: (piece: Buffer, _, done) => {
      hash.update(piece);
      done();
    },
  });
  await pipeline(createReadStream(path, { highWaterMark: PIECE }), hashing);
  return digestFrom(algorithm, hash.digest("hex"));
}
