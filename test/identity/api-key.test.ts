import { randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createSecret, secretKindOf } from "../../src/identity/api-key.ts";

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const strong = (bytes: number): Uint8Array => randomBytes(bytes);

/** The checksum as zlib computes it, in base62. */
function checksumOf(text: string): string {
  let rest = crc32(text);
  let digits = "";
  for (let at = 0; at < 6; at += 1) {
    digits = ALPHABET.charAt(rest % 62) + digits;
    rest = Math.floor(rest / 62);
  }
  return digits;
}

describe("createSecret", () => {
  test("makes an API key of 40 characters and a refresh token of 41, which one expression finds", () => {
    const found = /^amr[rsu]?_[0-9A-Za-z]{36}$/;
    expect(createSecret("api-key", strong)).toMatch(found);
    expect(createSecret("api-key", strong)).toHaveLength(40);
    expect(createSecret("refresh-token", strong)).toMatch(found);
    expect(createSecret("refresh-token", strong)).toHaveLength(41);
  });

  test("ends in the CRC-32 of all that stands before", () => {
    for (let tries = 0; tries < 200; tries += 1) {
      const secret = createSecret("api-key", strong);
      expect(secret.slice(-6)).toBe(checksumOf(secret.slice(0, -6)));
    }
  });

  test("draws bytes anew that would make some characters likelier than others", () => {
    const draws = [new Uint8Array(30).fill(255), new Uint8Array(30).fill(248), new Uint8Array(30).fill(247)];
    const secret = createSecret("api-key", () => draws.shift() ?? new Uint8Array(30));
    expect(secret.slice(4, 34)).toBe("z".repeat(30));
    expect(draws).toEqual([]);
  });

  test("uses every character", () => {
    const seen = new Set(Array.from({ length: 200 }, () => createSecret("api-key", strong).slice(4, 34)).join(""));
    expect([...seen].toSorted().join("")).toBe(ALPHABET);
  });
});

describe("secretKindOf", () => {
  test("tells the kind of every secret that was made", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("api-key" as const, "refresh-token" as const),
        fc.uint8Array({ minLength: 30, maxLength: 30 }),
        (kind, bytes) => {
          const usable = bytes.map((byte) => byte % 248);
          expect(secretKindOf(createSecret(kind, () => usable))).toBe(kind);
        },
      ),
    );
  });

  test("refuses a secret with one wrong character", () => {
    fc.assert(
      fc.property(fc.nat(39), fc.constantFrom(...ALPHABET.split("")), (at, character) => {
        const secret = createSecret("api-key", strong);
        const typo = secret.slice(0, at) + character + secret.slice(at + 1);
        fc.pre(typo !== secret);
        expect(secretKindOf(typo)).toBeUndefined();
      }),
    );
  });

  test("refuses whatever is no secret of ours", () => {
    const secret = createSecret("api-key", strong);
    for (const text of ["", "amr_", secret.toUpperCase(), `${secret}0`, ` ${secret}`, secret.replace("amr_", "amrs_"), `${secret}\n`]) {
      expect(secretKindOf(text)).toBeUndefined();
    }
    fc.assert(fc.property(fc.string(), (text) => secretKindOf(text) === undefined));
  });
});
