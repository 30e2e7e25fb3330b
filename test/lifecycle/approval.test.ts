import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ApprovalFacts, approvalLabel, approvalPayload, isStanding } from "../../src/lifecycle/approval.ts";
import { digestOf } from "../../src/oci/digest.ts";

const AT = Date.parse("2026-03-01T10:00:00.750Z");
const FACTS: ApprovalFacts = {
  registry: "https://registry.example",
  repository: "models/m",
  subject: { sha256: digestOf("artifact"), sha512: digestOf("artifact", "sha512") },
  verdict: "approved",
  generation: 2,
  sequence: 3,
  previous: digestOf("before"),
  actor: "ann-laptop",
  person: "ann",
  at: AT,
  givenAt: AT,
  expiresAt: AT + 86_400_000,
  reason: "card read",
  policies: [{ name: "prod", version: 4, digest: digestOf("policy") }],
  withdraws: null,
};

describe("the statement of an approval", () => {
  test("names who approved what, which policies asked, until when it counts, and the statement before", () => {
    expect(JSON.parse(approvalPayload(FACTS))).toEqual({
      _type: "https://in-toto.io/Statement/v1",
      subject: [
        {
          name: "registry.example/models/m",
          digest: { sha256: digestOf("artifact").slice(7), sha512: digestOf("artifact", "sha512").slice(7) },
        },
      ],
      predicateType: "https://ai-model-registry.dev/attestations/approval/v1",
      predicate: {
        registry: "https://registry.example",
        repository: "models/m",
        generation: 2,
        verdict: "approved",
        seq: 3,
        prev: { sha256: digestOf("before").slice(7) },
        effectiveAt: "2026-03-01T10:00:00Z",
        expiresAt: "2026-03-02T10:00:00Z",
        actor: "ann-laptop",
        person: "ann",
        reason: "card read",
        policies: [{ uri: "prod@4", digest: { sha256: digestOf("policy").slice(7) } }],
      },
    });
  });

  test("says when the approval was given where it was signed later, and which one is withdrawn", () => {
    const withdrawn = { verdict: "withdrawn", withdraws: digestOf("approval"), expiresAt: null, reason: null, previous: null } as const;
    const { predicate } = JSON.parse(approvalPayload({ ...FACTS, ...withdrawn, givenAt: AT - 3_600_000 })) as { predicate: object };
    expect(predicate).toMatchObject({
      verdict: "withdrawn",
      givenAt: "2026-03-01T09:00:00Z",
      withdraws: { sha256: digestOf("approval").slice(7) },
      prev: null,
    });
    expect(predicate).not.toHaveProperty("reason");
    expect(predicate).not.toHaveProperty("expiresAt");
  });

  test("is the same bytes for the same facts", () => {
    expect(approvalPayload(FACTS)).toBe(approvalPayload({ ...FACTS }));
  });

  test("is listed with the verdict and the person", () => {
    expect(approvalLabel(FACTS)).toEqual({
      predicateType: "https://ai-model-registry.dev/attestations/approval/v1",
      at: AT,
      annotations: { "dev.ai-model-registry.approval.verdict": "approved", "dev.ai-model-registry.approval.person": "ann" },
    });
  });
});

describe("isStanding", () => {
  const time = fc.integer({ min: 0, max: 100 });
  const approval = fc.record({ at: time, expiresAt: fc.option(time), isWithdrawn: fc.boolean() });
  const moment = fc.record({ now: time, revokedAt: fc.option(time) });

  test("is never true of what was withdrawn, of what has expired, or of what was given no later than the revocation", () => {
    fc.assert(
      fc.property(approval, moment, (given, { now, revokedAt }) => {
        const isEnded =
          given.isWithdrawn || (given.expiresAt !== null && given.expiresAt <= now) || (revokedAt !== null && given.at <= revokedAt);
        expect(isStanding(given, { now, revokedAt })).toBe(!isEnded);
      }),
    );
  });

  test("never becomes true again by time going on", () => {
    fc.assert(
      fc.property(approval, moment, time, (given, { now, revokedAt }, later) => {
        fc.pre(!isStanding(given, { now, revokedAt }));
        expect(isStanding(given, { now: now + later, revokedAt })).toBe(false);
      }),
    );
  });
});
