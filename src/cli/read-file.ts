import { createReadStream } from "node:fs";
import { buffer } from "node:stream/consumers";
import { CliError, EXIT } from "./failure.ts";

/** All bytes of a small file; throws a usage error for one that cannot be read or has more than `maxBytes`. */
export async function readSmallFile(file: string, maxBytes: number): Promise<Buffer> {
  let bytes: Buffer;
  try {
    bytes = await buffer(createReadStream(file, { end: maxBytes }));
  } catch (error) {
    throw new CliError(EXIT.usage, `the file ${file} cannot be read`, { cause: error });
  }
  if (bytes.length > maxBytes) throw new CliError(EXIT.usage, `the file ${file} has more than ${maxBytes} bytes`);
  return bytes;
}
