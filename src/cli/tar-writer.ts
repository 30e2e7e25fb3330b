import type { FileHandle } from "node:fs/promises";
import { TAR_BLOCK } from "../formats/tar-header.ts";
import { writeAt } from "./write-at.ts";

/** One time for all: two archives of the same files are the same bytes. 1980 is the earliest that all tools show as it is. */
const MODIFIED = Date.UTC(1980, 0, 1) / 1000;
const FILE_MODE = 0o644;
const FOLDER_MODE = 0o755;
/** What eleven octal digits hold. */
const MAX_OCTAL = 8 ** 11 - 1;
const MAX_NAME = 100;

/** Writes a tar archive of regular files, one after the other, in the order in which they are added. */
export class TarWriter {
  readonly #file: FileHandle;
  #at = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async folder(path: string): Promise<void> {
    await this.#put(header({ name: `${path}/`, size: 0, type: "5", mode: FOLDER_MODE }));
  }

  /** Adds a file of a known size, which `fill` writes into the archive from the given offset on. */
  async add(path: string, size: number, fill: (file: FileHandle, at: number) => Promise<void>): Promise<void> {
    for (const block of headersOf(path, size)) await this.#put(block);
    await fill(this.#file, this.#at);
    this.#at += size;
    await this.#put(Buffer.alloc((TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK));
  }

  /** Two empty blocks. */
  async end(): Promise<void> {
    await this.#put(Buffer.alloc(2 * TAR_BLOCK));
  }

  async #put(bytes: Buffer): Promise<void> {
    await writeAt(this.#file, bytes, this.#at);
    this.#at += bytes.length;
  }
}

/** What a header of POSIX cannot hold goes into pax records before it: longer names, and sizes of 8 GiB and more. */
function headersOf(path: string, size: number): readonly Buffer[] {
  const [isLong, isLarge] = [Buffer.byteLength(path) > MAX_NAME, size > MAX_OCTAL];
  const plain = { name: path, size: isLarge ? 0 : size, type: "0", mode: FILE_MODE };
  if (!isLong && !isLarge) return [header(plain)];
  const records = Buffer.from(`${isLong ? record("path", path) : ""}${isLarge ? record("size", String(size)) : ""}`);
  const filling = Buffer.alloc((TAR_BLOCK - (records.length % TAR_BLOCK)) % TAR_BLOCK);
  return [
    header({ name: "PaxHeaders/record", size: records.length, type: "x", mode: FILE_MODE }),
    Buffer.concat([records, filling]),
    header({ ...plain, name: path.slice(0, MAX_NAME) }),
  ];
}

/** `<length> <key>=<value>\n`, where the length counts itself. */
function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const length = (digits: number): number => Buffer.byteLength(rest) + digits;
  let digits = 1;
  while (String(length(digits)).length > digits) digits += 1;
  return `${length(digits)}${rest}`;
}

function header({ name, size, type, mode }: { name: string; size: number; type: string; mode: number }): Buffer {
  const block = Buffer.alloc(TAR_BLOCK);
  block.write(name, 0, MAX_NAME);
  block.write(octal(mode, 8), 100);
  block.write(octal(0, 8), 108);
  block.write(octal(0, 8), 116);
  block.write(octal(size, 12), 124);
  block.write(octal(MODIFIED, 12), 136);
  block.write("        ", 148);
  block.write(type, 156);
  block.write("ustar\u000000", 257);
  const sum = block.reduce((all, byte) => all + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, "0")}\0`;
}
