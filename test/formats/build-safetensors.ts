/** Builds safetensors files for tests from a header's text and data: it checks nothing. */
export function buildSafetensors(header: string | Uint8Array, data: Uint8Array = Buffer.alloc(0), length?: bigint): Buffer {
  const text = typeof header === "string" ? Buffer.from(header) : header;
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(length ?? BigInt(text.length));
  return Buffer.concat([size, text, data]);
}
