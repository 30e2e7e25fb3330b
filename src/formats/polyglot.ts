import type { ByteSource } from "./byte-source.ts";
import { shown } from "./format-error.ts";
import type { ModelFile, Tensor } from "./model-file.ts";

/** More would only repeat what a person knows after the first few. */
const MAX_SUSPICIONS = 16;
const LARGE_METADATA = 10 * 1024 * 1024;
/** What a page that shows metadata as it is would run or load; tokens such as `<s>` are none of it. */
const MARKUP = /<\/?(?:script|iframe|img|svg|object|embed|link|style|form|meta|base|body|html|a)[\s/>]|javascript:/i;

/** What in a file's metadata a person should look at. */
export class MetadataSuspicions {
  readonly #found: string[] = [];
  #length = 0;

  /** Looks at one entry. */
  look(key: string, value: string): void {
    this.#length += key.length + value.length;
    if (this.#found.length < MAX_SUSPICIONS && (MARKUP.test(value) || MARKUP.test(key)))
      this.#found.push(`the metadata ${shown(key)} holds markup`);
  }

  /** What was found in all entries that were looked at. */
  found(): readonly string[] {
    return this.#length > LARGE_METADATA ? [...this.#found, "the metadata is larger than 10 MiB"] : this.#found;
  }
}

const HEAD_BYTES = 64;
/** Types whose values are bytes: whoever hides a file takes one of them. */
const BYTE_TYPES: ReadonlySet<string> = new Set(["U8", "I8"]);
/** First bytes that quantised weights begin with by chance once in 2^32 tensors, or less often. */
const MAGICS: readonly (readonly [name: string, bytes: readonly number[]])[] = [
  ["a zip archive", [0x50, 0x4b, 0x03, 0x04]],
  ["an empty zip archive", [0x50, 0x4b, 0x05, 0x06]],
  ["an ELF program", [0x7f, 0x45, 0x4c, 0x46]],
  ["a 7z archive", [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]],
];
const GZIP = [0x1f, 0x8b, 0x08];
const GZIP_FLAGS = 0x1f;
const DOS_PROGRAM = [0x4d, 0x5a];
const WINDOWS_PROGRAM = [0x50, 0x45, 0x00, 0x00];
const WINDOWS_POINTER = 0x3c;
const PICKLE_PROTOCOL = 0x80;
const PICKLE_STOP = 0x2e;

/**
 * Finds other files that hide in the data of one that is right in itself: tensors that begin as a program or an archive, and the end of
 * a zip archive at the end of the file, which is where a zip reader begins.
 */
export function hiddenFiles(source: ByteSource, { dataStart, tensors }: Pick<ModelFile, "dataStart" | "tensors">): readonly string[] {
  const found: string[] = [];
  if (endsAsZip(source)) found.push("the file ends as a zip archive does");
  const reader = new DataReader(source, dataStart);
  for (const tensor of tensors) {
    if (found.length === MAX_SUSPICIONS) break;
    const hidden = BYTE_TYPES.has(tensor.type) ? hiddenIn(reader, tensor) : undefined;
    if (hidden !== undefined) found.push(`tensor ${shown(tensor.name)} begins as ${hidden} does`);
  }
  return found;
}

/** Reads parts of tensors. */
class DataReader {
  readonly #source: ByteSource;
  readonly #dataStart: number;

  constructor(source: ByteSource, dataStart: number) {
    this.#source = source;
    this.#dataStart = dataStart;
  }

  /** At most so many bytes from a place in a tensor on, as many as it has. */
  read(tensor: Tensor, from: number, bytes: number): Uint8Array {
    const into = new Uint8Array(Math.max(0, Math.min(bytes, tensor.size - from)));
    if (into.length > 0) this.#source.read(this.#dataStart + tensor.offset + from, into);
    return into;
  }
}

function hiddenIn(reader: DataReader, tensor: Tensor): string | undefined {
  const head = reader.read(tensor, 0, HEAD_BYTES);
  const magic = MAGICS.find(([, bytes]) => beginsWith(head, bytes));
  if (magic !== undefined) return magic[0];
  if (beginsWith(head, GZIP) && (head[3] ?? 0xff) <= GZIP_FLAGS) return "a gzip file";
  if (isWindowsProgram(reader, tensor, head)) return "a Windows program";
  return isPickle(reader, tensor, head) ? "a pickle" : undefined;
}

/** Two letters alone come by chance; they must point at the four that begin the program's real header. */
function isWindowsProgram(reader: DataReader, tensor: Tensor, head: Uint8Array): boolean {
  if (!beginsWith(head, DOS_PROGRAM) || head.length < WINDOWS_POINTER + 4) return false;
  const header = new DataView(head.buffer).getUint32(WINDOWS_POINTER, true);
  return beginsWith(reader.read(tensor, header, WINDOWS_PROGRAM.length), WINDOWS_PROGRAM);
}

/** Protocol 2 to 5 at the start, the opcode STOP at the end. */
function isPickle(reader: DataReader, tensor: Tensor, head: Uint8Array): boolean {
  const [first = 0, protocol = 0] = head;
  if (first !== PICKLE_PROTOCOL || protocol < 2 || protocol > 5) return false;
  return reader.read(tensor, tensor.size - 1, 1)[0] === PICKLE_STOP;
}

function beginsWith(bytes: Uint8Array, start: readonly number[]): boolean {
  return bytes.length >= start.length && start.every((byte, at) => bytes[at] === byte);
}

const ZIP_END = [0x50, 0x4b, 0x05, 0x06];
const ZIP_END_BYTES = 22;
const ZIP_COMMENT_LENGTH = 20;
const MAX_ZIP_COMMENT = 65_535;

/** Is there a zip archive's end record whose comment reaches exactly to the end of the file? */
function endsAsZip(source: ByteSource): boolean {
  const tail = new Uint8Array(Math.min(source.size, ZIP_END_BYTES + MAX_ZIP_COMMENT));
  source.read(source.size - tail.length, tail);
  const view = new DataView(tail.buffer);
  for (let at = tail.length - ZIP_END_BYTES; at >= 0; at -= 1) {
    if (!beginsWith(tail.subarray(at, at + ZIP_END.length), ZIP_END)) continue;
    if (view.getUint16(at + ZIP_COMMENT_LENGTH, true) === tail.length - at - ZIP_END_BYTES) return true;
  }
  return false;
}
