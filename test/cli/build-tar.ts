/** A member of an archive for tests; every field of its header can be set to what no writer would write. */
export interface Member {
  readonly name: string;
  readonly content?: Buffer | string;
  readonly type?: string;
  /** As the header says it; by default that of the content. */
  readonly size?: number;
  readonly magic?: string;
  readonly prefix?: string;
  readonly checksum?: number;
  readonly rawSize?: Buffer;
}

const BLOCK = 512;

/** An archive of these members, with the two empty blocks at its end unless it is to end otherwise. */
export function buildTar(members: readonly Member[], end: Buffer = Buffer.alloc(2 * BLOCK)): Buffer {
  return Buffer.concat([...members.flatMap(({ content = "", ...member }) => [header({ content, ...member }), filled(content)]), end]);
}

/** The records of a pax header. */
export function paxRecords(records: Readonly<Record<string, string>>): string {
  return Object.entries(records)
    .map(([key, value]) => {
      const rest = ` ${key}=${value}\n`;
      let length = Buffer.byteLength(rest) + 1;
      while (String(length).length + Buffer.byteLength(rest) !== length) length = String(length).length + Buffer.byteLength(rest);
      return `${length}${rest}`;
    })
    .join("");
}

function header({ name, content = "", type = "0", size, magic = "ustar\0", prefix = "", checksum, rawSize }: Member): Buffer {
  const block = Buffer.alloc(BLOCK);
  block.write(name, 0);
  block.write("0000644\0", 100);
  block.write("0000000\0", 108);
  block.write("0000000\0", 116);
  block.write(`${(size ?? Buffer.byteLength(content)).toString(8).padStart(11, "0")}\0`, 124);
  rawSize?.copy(block, 124);
  block.write("00000000000\0", 136);
  block.write(type, 156);
  block.write(magic, 257);
  if (magic === "ustar\0") block.write("00", 263);
  block.write(prefix, 345);
  block.fill(0x20, 148, 156);
  const sum = checksum ?? block.reduce((all, byte) => all + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

function filled(content: Buffer | string): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)]);
}
