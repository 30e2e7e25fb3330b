import { type PackedFile, readTarMembers } from "../formats/tar-members.ts";
import { FormatError } from "../formats/format-error.ts";
import { isReadme } from "../oci/layer-file.ts";
import { MAX_CARD_BYTES, type Answer } from "./answer.ts";
import type { FileSource } from "./file-source.ts";
import { SECOND, writeBytes } from "./handed.ts";
import type { Place } from "./place.ts";
import { fileIn, unpack } from "./unpack.ts";

/** The files in an archive. Throws `FormatError` and `ReadError`. */
export async function listFiles(archive: FileSource, { packing }: Place): Promise<Answer> {
  return { answer: "files", ...readTarMembers(await unpack(archive, packing)) };
}

/** Writes the beginning of the README in an archive to the second descriptor: the one with the shortest path. Throws `FormatError` and `ReadError`. */
export async function card(packed: FileSource, { packing }: Place): Promise<Answer> {
  const archive = await unpack(packed, packing);
  const readme = shortestOf(readTarMembers(archive).files.filter(({ path }) => isReadme(path)));
  if (readme === undefined) throw new FormatError("no file in it is a README");
  const bytes = new Uint8Array(Math.min(readme.size, MAX_CARD_BYTES));
  fileIn(archive, readme).read(0, bytes);
  writeBytes(SECOND, bytes);
  return { answer: "card", path: readme.path, isCut: readme.size > bytes.length };
}

function shortestOf(files: readonly PackedFile[]): PackedFile | undefined {
  return files.toSorted((a, b) => a.path.length - b.path.length)[0];
}
