import { generateKeyPairSync, sign, verify } from "node:crypto";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { derSignature } from "../../src/storage/ecdsa-signature.ts";

const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });

/** An integer at the beginning of some bytes of DER, in as few bytes as there can be, and what follows it. */
function integerIn(der: readonly number[]): { readonly number: bigint; readonly rest: readonly number[] } {
  const [type, size = 0, ...more] = der;
  const digits = more.slice(0, size);
  const [first = 0x80, second = 0x80] = digits;
  expect([type, digits.length, first < 0x80, first !== 0 || second >= 0x80]).toEqual([0x02, size, true, true]);
  return { number: BigInt(`0x${Buffer.from(digits).toString("hex")}`), rest: more.slice(size) };
}

/** The two numbers of a signature in DER. */
function numbersIn([tag, length, ...inner]: Uint8Array): bigint[] {
  expect([tag, length]).toEqual([0x30, inner.length]);
  const r = integerIn(inner);
  const s = integerIn(r.rest);
  expect(s.rest).toEqual([]);
  return [r.number, s.number];
}

test("the numbers of a token's signature are those of the same in DER, each in as few bytes as there can be", () => {
  const number = fc.oneof(
    fc.uint8Array({ minLength: 32, maxLength: 32 }),
    fc
      .tuple(fc.nat(32), fc.integer({ min: 0, max: 255 }))
      .map(([zeros, byte]) => Uint8Array.from({ length: 32 }, (_, at) => (at < zeros ? 0 : byte))),
  );
  fc.assert(
    fc.property(number, number, (r, s) => {
      const wanted = [r, s].map((each) => BigInt(`0x${Buffer.from(each).toString("hex")}`));
      expect(numbersIn(derSignature(Uint8Array.from([...r, ...s])) ?? new Uint8Array())).toEqual(wanted);
    }),
  );
});

test("a signature verifies in DER as it does in the form of tokens", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const raw = sign("sha256", bytes, { key: privateKey, dsaEncoding: "ieee-p1363" });
      expect(verify("sha256", bytes, publicKey, derSignature(raw) ?? new Uint8Array())).toBe(true);
    }),
  );
});

test.each([0, 1, 63, 65, 72, 96])("%s bytes are no signature on P-256", (length) => {
  expect(derSignature(new Uint8Array(length))).toBeUndefined();
});
