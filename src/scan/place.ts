import { PACKINGS, type Packing } from "../oci/layer-file.ts";

/** Where in an archive the file is that is looked into, once the archive is unpacked; in bytes. */
export interface Place {
  readonly packing: Packing;
  readonly at: number;
  readonly size: number;
}

/** A place as an argument of a program. */
export function placeText({ packing, at, size }: Place): string {
  return `${packing}:${at}:${size}`;
}

/** Undefined for text that is no place. */
export function parsePlace(text: string): Place | undefined {
  const [, name, at, size] = /^(\w+):(\d+):(\d+)$/.exec(text) ?? [];
  const packing = PACKINGS.find((each) => each === name);
  return packing && { packing, at: Number(at), size: Number(size) };
}
