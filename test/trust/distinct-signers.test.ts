import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { type Signatory, bySigner } from "../../src/trust/distinct-signers.ts";

const K = digestOf("key");
const OTHER = digestOf("other");
const ROOT = digestOf("root");
const BETWEEN = digestOf("between");

const byKey = (fingerprint = K): Signatory => ({ signer: { type: "key", fingerprint }, key: fingerprint });
const identity = (subject: string, key: Signatory["key"]): Signatory => ({ signer: { type: "identity", issuer: "i", subject }, key });
const holder = (subject: string, key: Signatory["key"], root = ROOT): Signatory => ({
  signer: { type: "certificate", subject, root },
  key,
});

const count = (...signed: readonly Signatory[]): number => bySigner(signed).length;

describe("signatures are of one signer", () => {
  test("that are by one key, alone and in certificates of any kind", () => {
    expect(count(byKey(), holder("CN=a", K), identity("a", K))).toBe(1);
    expect(count(byKey(), byKey(OTHER), holder("CN=a", OTHER))).toBe(2);
  });

  test("that are in one name, by whatever key and below whichever root", () => {
    expect(count(identity("a", K), identity("a", OTHER))).toBe(1);
    expect(count(holder("CN=a", K), holder("CN=a", OTHER, BETWEEN))).toBe(1);
    expect(count(holder("CN=a", K), holder("CN=b", OTHER), identity("CN=a", digestOf("third")))).toBe(3);
  });

  test("that another one holds together, whenever it comes", () => {
    const [one, other, between] = [byKey(), identity("a", OTHER), identity("a", K)];
    for (const signed of [
      [one, other, between],
      [between, one, other],
      [other, between, one],
    ])
      expect(count(...signed)).toBe(1);
  });

  test("by their names alone where an earlier version did not write keys down", () => {
    expect(count({ signer: { type: "certificate", subject: "CN=a", root: ROOT } }, holder("CN=a", K))).toBe(1);
    expect(count(byKey(), { signer: { type: "certificate", subject: "CN=a", root: ROOT } })).toBe(2);
  });
});

test("every signature is in one group, and how many there are does not depend on their order", () => {
  const keys = fc.constantFrom(K, OTHER, ROOT, undefined);
  const names = fc.constantFrom("a", "b", "c");
  const signatory = fc.oneof(
    fc.constantFrom(K, OTHER, ROOT).map((key) => byKey(key)),
    fc.tuple(names, keys).map(([name, key]) => identity(name, key)),
    fc.tuple(names, keys, fc.constantFrom(ROOT, BETWEEN)).map(([name, key, root]) => holder(name, key, root)),
  );
  fc.assert(
    fc.property(
      fc
        .array(signatory, { maxLength: 12 })
        .chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }))),
      ([all, shuffled]) => {
        const groups = bySigner(all);
        expect(groups.flat()).toHaveLength(all.length);
        expect(new Set(groups.flat())).toEqual(new Set(all));
        expect(bySigner(shuffled)).toHaveLength(groups.length);
      },
    ),
  );
});
