import type { FileHandle } from "node:fs/promises";
import { TarError } from "../formats/tar-header.ts";
import { type TarMember, type WantedBytes, walkTar } from "../formats/tar-walk.ts";
import { LayoutError } from "./layout-error.ts";

/** More members than any layout that is read has blobs. */
const MAX_MEMBERS = 500_000;

/** The regular files of a tar archive by their path. Throws `LayoutError` for what `walkTar` refuses. */
export async function readTar(archive: FileHandle): Promise<ReadonlyMap<string, TarMember>> {
  const { size } = await archive.stat();
  const files = new Map<string, TarMember>();
  const walk = walkTar({ size, maxMembers: MAX_MEMBERS }, files);
  try {
    for (let wanted = walk.next(); wanted.done !== true;) wanted = walk.next(await read(archive, wanted.value));
  } catch (error) {
    if (!(error instanceof TarError)) throw error;
    // Before any file is found it may be one that is packed, which only this reader does not unpack.
    const hint = error.code === "archive-invalid" && files.size === 0 ? "; compressed ones are not read" : "";
    throw new LayoutError(error.code, `${error.message}${hint}`, error);
  }
  return files;
}

async function read(archive: FileHandle, { at, length }: WantedBytes): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length;) {
    const { bytesRead } = await archive.read(bytes, done, length - done, at + done);
    if (bytesRead === 0) throw new TarError("archive-invalid", "the archive ends early");
    done += bytesRead;
  }
  return bytes;
}
