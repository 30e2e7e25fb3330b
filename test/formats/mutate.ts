import * as fc from "fast-check";

/** Numbers at which code is wrong when it is: around what a byte, an int32, an exact number, an int64 and a uint64 can hold. */
const EXTREMES = [
  0n,
  1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 53n,
  2n ** 62n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 32n,
  2n ** 64n - 1n,
];

/** One thing done to a file. */
type Mutation = (file: Buffer) => Buffer;

/** Bytes and numbers changed, pieces repeated, the end cut off: mostly in the header, where it hurts. */
export const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({ at: fc.nat(600), byte: fc.nat(255) }).map(
    ({ at, byte }): Mutation =>
      (file) =>
        Buffer.from(file.with(at % file.length, byte)),
  ),
  fc.record({ at: fc.nat(600), value: fc.constantFrom(...EXTREMES) }).map(({ at, value }): Mutation => (file) => {
    const changed = Buffer.from(file);
    if (changed.length >= 8) changed.writeBigUInt64LE(value, at % (changed.length - 7));
    return changed;
  }),
  fc.record({ from: fc.nat(600), length: fc.nat(40), to: fc.nat(600) }).map(
    ({ from, length, to }): Mutation =>
      (file) =>
        Buffer.concat([file.subarray(0, to), file.subarray(from, from + length), file.subarray(to)]),
  ),
  fc.nat(600).map(
    (length): Mutation =>
      (file) =>
        Buffer.from(file.subarray(0, Math.max(1, length % (file.length + 1)))),
  ),
);
