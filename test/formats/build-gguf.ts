/** Builds GGUF files for tests, right ones and wrong ones: it writes what it is told, and checks nothing. */

/** A metadata value with its type's number. */
export type GgufValue =
  | { readonly type: number; readonly bytes: Uint8Array }
  | { readonly type: 8; readonly text: string }
  | { readonly type: 9; readonly of: number; readonly count?: bigint; readonly bytes: Uint8Array };

export interface GgufTensor {
  readonly name: string;
  /** Its number. */
  readonly type: number;
  readonly shape: readonly (number | bigint)[];
  readonly data: Uint8Array;
  /** Else where its data are put. */
  readonly offset?: bigint;
}

export interface GgufParts {
  readonly version?: number;
  readonly tensorCount?: bigint;
  readonly keyCount?: bigint;
  readonly metadata?: readonly (readonly [string | Uint8Array, GgufValue])[];
  readonly tensors?: readonly GgufTensor[];
  /** By which tensors are placed; the metadata does not say it by itself. */
  readonly alignment?: number;
  /** What follows the last tensor, else nothing. */
  readonly tail?: Uint8Array;
}

export const u32 = (value: number): Uint8Array => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

export const u64 = (value: number | bigint): Uint8Array => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  return bytes;
};

/** A string as GGUF has it: its length and its bytes. */
export const gstring = (value: string | Uint8Array): Uint8Array => {
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  return Buffer.concat([u64(bytes.length), bytes]);
};

export const text = (value: string): GgufValue => ({ type: 8, text: value });
export const uint32 = (value: number): GgufValue => ({ type: 4, bytes: u32(value) });
export const strings = (values: readonly string[]): GgufValue => ({
  type: 9,
  of: 8,
  count: BigInt(values.length),
  bytes: Buffer.concat(values.map(gstring)),
});

/** `architecture` and whatever else. */
export const named = (
  architecture: string,
  ...more: readonly (readonly [string, GgufValue])[]
): readonly (readonly [string, GgufValue])[] => [["general.architecture", text(architecture)], ...more];

export function buildGguf(parts: GgufParts): Buffer {
  const { tensors = [], alignment = 32, tail = Buffer.alloc(0) } = parts;
  const header = headerStart(parts);
  const data: Uint8Array[] = [];
  let offset = 0;
  for (const tensor of tensors) {
    header.push(gstring(tensor.name), u32(tensor.shape.length), ...tensor.shape.map(u64), u32(tensor.type), u64(tensor.offset ?? offset));
    const padding = tensor === tensors.at(-1) ? 0 : padded(tensor.data.length, alignment) - tensor.data.length;
    data.push(tensor.data, Buffer.alloc(padding));
    offset += tensor.data.length + padding;
  }
  const head = Buffer.concat(header);
  const gap = tensors.length === 0 ? 0 : padded(head.length, alignment) - head.length;
  return Buffer.concat([head, Buffer.alloc(gap), ...data, tail]);
}

function headerStart({ version = 3, tensors = [], metadata = named("llama"), ...counts }: GgufParts): Uint8Array[] {
  return [
    Buffer.from("GGUF"),
    u32(version),
    u64(counts.tensorCount ?? tensors.length),
    u64(counts.keyCount ?? metadata.length),
    ...metadata.flatMap(([key, value]) => [gstring(key), u32(value.type), valueBytes(value)]),
  ];
}

function valueBytes(value: GgufValue): Uint8Array {
  if ("text" in value) return gstring(value.text);
  if ("of" in value) return Buffer.concat([u32(value.of), u64(value.count ?? 0n), value.bytes]);
  return value.bytes;
}

function padded(length: number, alignment: number): number {
  return Math.ceil(length / alignment) * alignment;
}

/** A tensor of type F32 with one dimension, of these numbers. */
export function f32(name: string, values: readonly number[]): GgufTensor {
  return { name, type: 0, shape: [values.length], data: new Uint8Array(Float32Array.from(values).buffer) };
}

/** 416 bytes with an F32 tensor of 4×2, a Q8_0 one of 32 and an F32 one of 3, whose manifest gguf-guard 0.2.0 was run on. */
export const GOLDEN = Buffer.from(
  [
    "474755460300000003000000000000000200000000000000140000000000000067656e6572616c2e6172636869746563",
    "747572650800000005000000000000006c6c616d6111000000000000006c6c616d612e626c6f636b5f636f756e740400",
    "0000010000001100000000000000746f6b656e5f656d62642e7765696768740200000004000000000000000200000000",
    "0000000000000000000000000000001300000000000000626c6b2e302e6174746e5f712e776569676874010000002000",
    "00000000000008000000200000000000000012000000000000006f75747075745f6e6f726d2e77656967687401000000",
    "030000000000000000000000600000000000000000000000000000000000000000000000000000000000000000000000",
    "000000000000803f0000004000004040000080400000a0400000c0400000e040003cf0f1f2f3f4f5f6f7f8f9fafbfcfd",
    "feff000102030405060708090a0b0c0d0e0f0000000000000000000000000000000000000000000000000000000000000",
    "000803f0000803f0000803f0000000000000000000000000000000000000000",
  ].join(""),
  "hex",
);
