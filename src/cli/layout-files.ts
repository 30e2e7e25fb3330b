import { constants } from "node:fs";
import { type FileHandle, lstat, open, opendir } from "node:fs/promises";
import { join } from "node:path";
import { isDigest, isDigestAlgorithm } from "../oci/digest.ts";
import { CliError, EXIT } from "./failure.ts";
import { LayoutError } from "./layout-error.ts";
import { readTar } from "./tar-reader.ts";

const READ_AT_ONCE = 1_048_576;
const MAX_FILES = 500_000;

/** The files that a layout consists of, wherever they are kept. */
export interface LayoutFiles {
  /** Bytes of each file by its path within the layout, such as `blobs/sha256/<hex>`. */
  readonly sizes: ReadonlyMap<string, number>;
  /** The bytes of a file from an offset on; it may be opened often. */
  read(path: string, start: number): AsyncIterable<Buffer>;
  close(): Promise<void>;
}

/** Opens a folder, or a tar archive. Throws a usage error when nothing is there, and `LayoutError` for what cannot be a layout. */
export async function openLayoutFiles(place: string): Promise<LayoutFiles> {
  const handle = await open(place, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw new CliError(EXIT.usage, `${place} cannot be read`, { cause: error });
  });
  try {
    const found = await handle.stat();
    if (found.isFile()) return await openArchive(handle);
    if (!found.isDirectory()) throw new CliError(EXIT.usage, `${place} is neither a folder nor a file`);
  } catch (error) {
    await handle.close();
    throw error;
  }
  await handle.close();
  return openFolder(place);
}

async function openArchive(handle: FileHandle): Promise<LayoutFiles> {
  const members = await readTar(handle);
  return {
    sizes: new Map([...members].map(([path, { size }]) => [path, size])),
    read: (path, start) => {
      const { at, size } = members.get(path) ?? { at: 0, size: 0 };
      return bytesOf(handle, at + start, at + size);
    },
    close: () => handle.close(),
  };
}

async function openFolder(folder: string): Promise<LayoutFiles> {
  const sizes = new Map<string, number>();
  const add = async (path: string): Promise<void> => {
    const found = await lstat(join(folder, path)).catch(() => undefined);
    if (found?.isSymbolicLink() === true) throw new LayoutError("archive-unsafe", `${JSON.stringify(path)} is a link`);
    if (found?.isFile() === true) sizes.set(path, found.size);
    if (sizes.size > MAX_FILES) throw new LayoutError("layout-too-large", `the layout has more than ${MAX_FILES} files`);
  };
  await add("oci-layout");
  await add("index.json");
  for (const algorithm of await namesIn(folder, "blobs", isDigestAlgorithm)) {
    for (const hex of await namesIn(folder, `blobs/${algorithm}`, (name) => isDigest(`${algorithm}:${name}`))) {
      await add(`blobs/${algorithm}/${hex}`);
    }
  }
  return { sizes, read: (path, start) => fileOf(folder, path, { start, size: sizes.get(path) ?? 0 }), close: async () => undefined };
}

async function namesIn(folder: string, path: string, isWanted: (name: string) => boolean): Promise<readonly string[]> {
  const found = await lstat(join(folder, path)).catch(() => undefined);
  if (found === undefined) return [];
  if (!found.isDirectory()) throw new LayoutError("archive-unsafe", `${JSON.stringify(path)} is not a folder`);
  const names: string[] = [];
  for await (const { name } of await opendir(join(folder, path))) {
    if (isWanted(name)) names.push(name);
    if (names.length > MAX_FILES) throw new LayoutError("layout-too-large", `the layout has more than ${MAX_FILES} files`);
  }
  return names;
}

async function* fileOf(
  folder: string,
  path: string,
  { start, size }: { readonly start: number; readonly size: number },
): AsyncGenerator<Buffer> {
  const handle = await open(join(folder, path), constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    yield* bytesOf(handle, start, size);
  } finally {
    await handle.close();
  }
}

/** Bytes of a file up to an offset; a file that was cut meanwhile gives fewer, which whoever hashes them notices. */
async function* bytesOf(handle: FileHandle, start: number, end: number): AsyncGenerator<Buffer> {
  for (let at = start; at < end;) {
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(Math.min(READ_AT_ONCE, end - at)), 0, undefined, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}
