import { ByteCursor } from "./byte-cursor.ts";
import { type ByteSource, checkSize } from "./byte-source.ts";
import { FormatError, shown } from "./format-error.ts";
import { type TensorType, ggmlType } from "./ggml-type.ts";
import { type PlacedValue, readMetadata } from "./gguf-metadata.ts";
import { MAX_TENSORS, type ModelFile, type Tensor, checkName, elementsOf } from "./model-file.ts";

const MAGIC = 0x46554747;
const VERSIONS: ReadonlySet<number> = new Set([2, 3]);
/** Magic, version and the two counts. */
const FIXED_BYTES = 24;
const MAX_HEADER_BYTES = 256 * 1024 * 1024;
/** ggml's GGML_MAX_NAME, with the NUL that ends a name there. */
const MAX_NAME_BYTES = 63;
const MAX_DIMENSIONS = 4;
/** Name's length, one byte of it, number of dimensions, one of them, type, offset. */
const LEAST_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8;

/** Does a file begin as GGUF does? */
export function isGguf(head: Uint8Array): boolean {
  return head.length >= 4 && new DataView(head.buffer, head.byteOffset).getUint32(0, true) === MAGIC;
}

/**
 * Reads the header of a GGUF file, version 2 or 3, by the rules that llama.cpp refuses a file by, and stricter ones where it is lax.
 * The data is not read. `note` is told where each value of the metadata is. Throws `FormatError`.
 */
export function readGguf(source: ByteSource, note?: (value: PlacedValue) => void): ModelFile {
  checkSize(source);
  if (source.size < FIXED_BYTES) throw new FormatError("the file is shorter than a GGUF header");
  const cursor = new ByteCursor(source, headerRegion(source.size));
  if (cursor.u32() !== MAGIC) throw new FormatError("the file does not begin with GGUF");
  checkVersion(cursor.u32());
  const tensorCount = cursor.u64(MAX_TENSORS, "the number of tensors");
  const metadata = readMetadata(cursor, note);
  const tensors = readTensors(cursor, tensorCount, { fileSize: source.size, alignment: metadata.alignment });
  const dataStart = tensors.length === 0 ? cursor.position : roundUp(cursor.position, metadata.alignment);
  checkData(tensors, { dataStart, fileSize: source.size, alignment: metadata.alignment });
  return {
    format: "gguf",
    architecture: metadata.architecture,
    fileType: metadata.fileType,
    dataStart,
    tensors,
    suspicions: [],
  };
}

function headerRegion(size: number): ConstructorParameters<typeof ByteCursor>[1] {
  if (size <= MAX_HEADER_BYTES) return { start: 0, end: size, beyond: "the file ends inside its header" };
  return { start: 0, end: MAX_HEADER_BYTES, beyond: "the header is longer than 256 MiB" };
}

function checkVersion(version: number): void {
  if (VERSIONS.has(version)) return;
  // A version is a small number, so that in the other byte order its low half is zero.
  if ((version & 0xffff) === 0 && version !== 0)
    throw new FormatError("the file is big-endian GGUF, which is not read here: convert it to little-endian");
  throw new FormatError(`the file has GGUF version ${version}; versions 2 and 3 are read`);
}

interface Layout {
  readonly fileSize: number;
  readonly alignment: number;
}

function readTensors(cursor: ByteCursor, count: number, layout: Layout): readonly Tensor[] {
  cursor.expect(count * LEAST_TENSOR_BYTES);
  const names = new Set<string>();
  const tensors: Tensor[] = [];
  let offset = 0;
  for (let at = 0; at < count; at += 1) {
    const tensor = readTensor(cursor, layout.fileSize);
    if (names.has(tensor.name)) throw new FormatError(`two tensors have the name ${shown(tensor.name)}`);
    // As llama.cpp has it: in the order of the header, without gaps but for padding, and so without overlaps.
    if (tensor.offset !== offset)
      throw new FormatError(`tensor ${shown(tensor.name)} begins at ${tensor.offset}, but must at ${offset}: behind the one before it`);
    if (offset + tensor.size > layout.fileSize) throw new FormatError(`tensor ${shown(tensor.name)} ends beyond the end of the file`);
    names.add(tensor.name);
    tensors.push(tensor);
    offset = roundUp(offset + tensor.size, layout.alignment);
  }
  return tensors;
}

function readTensor(cursor: ByteCursor, fileSize: number): Tensor {
  const name = readName(cursor);
  const count = cursor.u32();
  if (count < 1 || count > MAX_DIMENSIONS) throw new FormatError(`tensor ${shown(name)} has ${count} dimensions; 1 to 4 are allowed`);
  const shape = Array.from({ length: count }, () => cursor.u64(Number.MAX_SAFE_INTEGER, `a dimension of tensor ${shown(name)}`));
  if (shape.includes(0)) throw new FormatError(`tensor ${shown(name)} has a dimension of 0`);
  const type = ggmlType(cursor.u32());
  if (typeof type === "string") throw new FormatError(`tensor ${shown(name)} ${type}`);
  const offset = cursor.u64(Number.MAX_SAFE_INTEGER, `the offset of tensor ${shown(name)}`);
  const { elements, size } = measure({ name, shape, type }, fileSize);
  return { name, type: type.name, shape, offset, size, elements };
}

function readName(cursor: ByteCursor): string {
  const name = cursor.text(cursor.u64(MAX_NAME_BYTES, "the length of a tensor's name"));
  if (name === undefined) throw new FormatError("a tensor's name is not UTF-8");
  checkName(name, MAX_NAME_BYTES);
  return name;
}

function measure(
  { name, shape, type }: { name: string; shape: readonly number[]; type: TensorType },
  fileSize: number,
): Pick<Tensor, "elements" | "size"> {
  if ((shape[0] ?? 0) % type.blockElements !== 0)
    throw new FormatError(`the rows of tensor ${shown(name)} are no multiple of ${type.blockElements}, the block of ${type.name}`);
  const elements = elementsOf(shape, fileSize);
  const size = elements === undefined ? undefined : (elements / type.blockElements) * type.blockBytes;
  if (elements === undefined || size === undefined || size > fileSize)
    throw new FormatError(`tensor ${shown(name)} is larger than the file`);
  return { elements, size };
}

function checkData(tensors: readonly Tensor[], { dataStart, fileSize, alignment }: Layout & { readonly dataStart: number }): void {
  const last = tensors.at(-1);
  const end = dataStart + (last === undefined ? 0 : last.offset + last.size);
  if (end > fileSize) throw new FormatError(`the file ends before its tensors: it has ${fileSize} bytes and needs ${end}`);
  if (fileSize - end >= alignment) throw new FormatError(`${fileSize - end} bytes follow the last tensor`);
}

function roundUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}
