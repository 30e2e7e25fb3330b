import * as fc from "fast-check";
import { expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { type TakenEvidence, restsOn } from "../../src/policy/reliance.ts";

const by = (name: string): TakenEvidence => ({ signer: { type: "key", fingerprint: digestOf(name) }, signedAt: null });
const signers = fc.array(fc.constantFrom("a", "b", "c", "d"), { maxLength: 8 });
const requirement = fc.record({ threshold: fc.integer({ min: 1, max: 4 }), names: signers });

test("a decision rests on revoked evidence when fewer distinct signers are left than a requirement asks for that took some of it", () => {
  fc.assert(
    fc.property(fc.array(requirement, { maxLength: 4 }), fc.subarray(["a", "b", "c", "d"]), (requirements, revoked) => {
      const fingerprints = new Set(revoked.map((name) => digestOf(name)));
      const isRevoked = ({ signer }: TakenEvidence): boolean => signer.type === "key" && fingerprints.has(signer.fingerprint);
      const expected = requirements.some(({ threshold, names }) => {
        const left = new Set(names.filter((name) => !revoked.includes(name)));
        return names.some((name) => revoked.includes(name)) && left.size < threshold;
      });
      const met = requirements.map(({ threshold, names }) => ({ threshold, taken: names.map(by) }));
      expect(restsOn(met, isRevoked)).toBe(expected);
    }),
  );
});

test("a decision rests on nothing when nothing is revoked, whatever it lists", () => {
  expect(restsOn([{ threshold: 2, taken: [by("a")] }], () => false)).toBe(false);
});
