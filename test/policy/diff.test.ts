import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type PolicyDiff, type Side, diffPolicies } from "../../src/policy/diff.ts";
import { meets } from "../../src/policy/condition.ts";
import { parsePolicy, policyDigest } from "../../src/policy/document.ts";
import { issue } from "../trust/certificates.ts";
import { keySigner } from "../support/private-sigstore.ts";

const [{ pem }, { pem: otherPem }] = [keySigner(), keySigner()];
const SCAN = "https://example.org/scan/v1";
const TEAM = { type: "key", name: "team", keys: [{ id: "one", pem }] };
const OTHERS = { type: "key", name: "others", keys: [{ id: "two", pem: otherPem }] };
const IDENTITY = { issuer: { exact: "https://issuer.example" }, subject: { exact: "ci" } };
const CI = { type: "keyless", name: "ci", trustRoot: "corp", identities: [IDENTITY] };
const ROOTS = { corp: { name: "corp", digest: `sha256:${"1".repeat(64)}` } };
const TUF = { tuf: { name: "corp", rootDigest: `sha256:${"3".repeat(64)}`, maxAgeHours: 72 } };
const SIGNED = { name: "signed", anyOf: ["team"], evidence: { kind: "signature" } };
const SPEC = { match: { repositories: ["models/**"] }, authorities: [TEAM, OTHERS], require: [SIGNED] };

function side(spec: object, version: number | null = 1): Side {
  const kind = { apiVersion: "trust.ai-model-registry.dev/v1", kind: "TrustPolicy", metadata: { name: "p" } };
  const document = parsePolicy(Buffer.from(JSON.stringify({ ...kind, spec: { ...SPEC, ...spec } })), "json");
  return { version, digest: policyDigest(document), document };
}

const diff = (before: object, after: object): PolicyDiff => diffPolicies(side(before), side(after, 2));
const told = (before: object, after: object): string[] =>
  diff(before, after).changes.map(({ change, effect, path }) => `${change} ${effect} ${path}`);

const attested = (...where: readonly object[]): object => ({
  require: [{ ...SIGNED, evidence: { kind: "attestation", predicateType: SCAN, where } }],
});
const evidence = (asked: object): object => ({ require: [{ name: "signed", evidence: asked }] });
const keys = (...listed: readonly object[]): object => ({
  authorities: [{ ...TEAM, keys: listed, trustRoot: "corp", timestamps: 1 }, OTHERS],
  trustRoots: ROOTS,
});
const keyless = (more: object = {}): object => ({
  trustRoots: ROOTS,
  authorities: [{ ...CI, ...more }],
  require: [{ ...SIGNED, anyOf: ["ci"] }],
});

const x509 = (...roots: readonly string[]): object => ({
  authorities: [{ type: "x509", name: "team", roots, identities: [{ subject: { CN: "signer" } }] }],
});

const CASES: readonly [string, object, object, readonly string[]][] = [
  ["a repository more", {}, { match: { repositories: ["models/**", "others/*"] } }, ["added tighter spec.match.repositories"]],
  ["a warning", {}, { mode: "warn" }, ["changed looser spec.mode"]],
  ["a requirement more", {}, { require: [SIGNED, { ...SIGNED, name: "again" }] }, ["added tighter spec.require.again"]],
  [
    "another authority that may sign",
    {},
    { require: [{ ...SIGNED, anyOf: ["team", "others"] }] },
    ["added looser spec.require.signed.anyOf"],
  ],
  [
    "more signers",
    { require: [{ ...SIGNED, anyOf: ["team", "others"] }] },
    { require: [{ ...SIGNED, anyOf: ["team", "others"], threshold: 2 }] },
    ["changed tighter spec.require.signed.threshold"],
  ],
  ["another kind of evidence", {}, attested(), ["changed unknown spec.require.signed.evidence"]],
  [
    "another format",
    {},
    { require: [{ ...SIGNED, evidence: { kind: "signature", formats: ["bundle", "cosign-legacy"] } }] },
    ["added looser spec.require.signed.evidence.formats"],
  ],
  [
    "another predicate type",
    attested(),
    { require: [{ ...SIGNED, evidence: { kind: "attestation", predicateType: `${SCAN}2` } }] },
    ["changed unknown spec.require.signed.evidence.predicateType"],
  ],
  ["a condition more", attested(), attested({ path: "/a", op: "exists" }), ["added tighter spec.require.signed.evidence.where"]],
  [
    "a shorter age",
    attested({ path: "/a", op: "maxAgeSeconds", value: 60 }),
    attested({ path: "/a", op: "maxAgeSeconds", value: 30 }),
    ["changed tighter spec.require.signed.evidence.where"],
  ],
  [
    "another value of a condition",
    attested({ path: "/a", op: "eq", value: 1 }),
    attested({ path: "/a", op: "eq", value: 2 }),
    ["changed unknown spec.require.signed.evidence.where"],
  ],
  [
    "a condition on another place",
    attested({ path: "/a", op: "eq", value: 1 }),
    attested({ path: "/b", op: "eq", value: 1 }),
    ["removed looser spec.require.signed.evidence.where", "added tighter spec.require.signed.evidence.where"],
  ],
  [
    "a config that may go unsigned",
    { require: [{ ...SIGNED, evidence: { kind: "oms" } }] },
    { require: [{ ...SIGNED, evidence: { kind: "oms", unsignedConfig: true } }] },
    ["changed looser spec.require.signed.evidence.unsignedConfig"],
  ],
  [
    "a scanner more",
    evidence({ kind: "scan-results" }),
    evidence({ kind: "scan-results", scanners: ["a"] }),
    ["added tighter spec.require.signed.evidence.scanners"],
  ],
  [
    "more approvals",
    evidence({ kind: "approvals", minimum: 1 }),
    evidence({ kind: "approvals", minimum: 2 }),
    ["changed tighter spec.require.signed.evidence.minimum"],
  ],
  [
    "approvals that grow too old",
    evidence({ kind: "approvals", minimum: 1 }),
    evidence({ kind: "approvals", minimum: 1, maxAgeSeconds: 60 }),
    ["changed tighter spec.require.signed.evidence.maxAgeSeconds"],
  ],
  [
    "approvals that count for longer",
    evidence({ kind: "approvals", minimum: 1, maxAgeSeconds: 60 }),
    evidence({ kind: "approvals", minimum: 1, maxAgeSeconds: 90 }),
    ["changed looser spec.require.signed.evidence.maxAgeSeconds"],
  ],
  [
    "another key",
    keys({ id: "one", pem }),
    keys({ id: "one", pem: otherPem }),
    ["removed tighter spec.authorities.team.keys.one", "added looser spec.authorities.team.keys.one"],
  ],
  ["another name of a key", keys({ id: "one", pem }), keys({ id: "uno", pem }), ["changed none spec.authorities.team.keys.uno.id"]],
  [
    "a key that was revoked",
    keys({ id: "one", pem }),
    keys({ id: "one", pem, revokedAt: "2026-01-01T00:00:00Z" }),
    ["changed tighter spec.authorities.team.keys.one"],
  ],
  [
    "a key's later time",
    keys({ id: "one", pem, validFrom: "2026-01-01T00:00:00Z", validUntil: "2026-06-01T00:00:00Z" }),
    keys({ id: "one", pem, validFrom: "2026-02-01T00:00:00Z", validUntil: "2026-07-01T00:00:00Z" }),
    ["changed unknown spec.authorities.team.keys.one"],
  ],
  [
    "an identity more",
    keyless(),
    keyless({ identities: [IDENTITY, { ...IDENTITY, subject: { glob: "ci-*" } }] }),
    ["added looser spec.authorities.ci.identities"],
  ],
  ["no log", keyless(), keyless({ tlog: "ignore" }), ["changed looser spec.authorities.ci.tlog"]],
  ["more certificate logs", keyless(), keyless({ ctlog: 2 }), ["changed tighter spec.authorities.ci.ctlog"]],
  ["more timestamps", keyless(), keyless({ timestamps: 2 }), ["changed tighter spec.authorities.ci.timestamps"]],
  [
    "another trust root",
    keyless(),
    { ...keyless(), trustRoots: { corp: { ...ROOTS.corp, digest: `sha256:${"2".repeat(64)}` } } },
    ["changed unknown spec.trustRoots.corp"],
  ],
  ["another trust root of no use", { trustRoots: ROOTS }, { trustRoots: { corp: TUF } }, ["changed none spec.trustRoots.corp"]],
  ["a trust root that is updated", keyless(), { ...keyless(), trustRoots: { corp: TUF } }, ["changed unknown spec.trustRoots.corp"]],
  [
    "a longer age of an update, which may be too old",
    { ...keyless(), trustRoots: { corp: TUF } },
    { ...keyless(), trustRoots: { corp: { tuf: { ...TUF.tuf, maxAgeHours: 96, stale: "warn" } } } },
    ["changed looser spec.trustRoots.corp.tuf.maxAgeHours", "changed looser spec.trustRoots.corp.tuf.stale"],
  ],
  ["a trust root more", {}, { trustRoots: ROOTS }, ["added none spec.trustRoots.corp"]],
  [
    "another type of authority",
    { ...keyless({ name: "team" }), require: [SIGNED] },
    { trustRoots: ROOTS },
    ["changed unknown spec.authorities.team", "added none spec.authorities.others"],
  ],
];

describe("diffPolicies()", () => {
  test.each(CASES)("tells of %s, and the opposite the other way round", (_, before, after, expected) => {
    expect(told(before, after)).toEqual(expected);
    const effects: Record<string, string> = { tighter: "looser", looser: "tighter" };
    const changes: Record<string, string> = { added: "removed", removed: "added" };
    const back = diff(after, before).changes.map(({ change, effect }) => `${change} ${effect}`);
    const opposite = diff(before, after).changes.map(({ change, effect }) => `${changes[change] ?? change} ${effects[effect] ?? effect}`);
    expect(back.toSorted()).toEqual(opposite.toSorted());
  });

  test("takes a key of no use for nothing: no requirement names its authority", () => {
    const unused = { authorities: [TEAM, { ...OTHERS, keys: [...OTHERS.keys, { id: "one", pem }] }] };
    expect(told({}, unused)).toEqual(["added none spec.authorities.others.keys.one"]);
  });

  test("finds nothing in another order, and names the versions", () => {
    const [one, other] = [
      { require: [SIGNED, { ...SIGNED, name: "again", anyOf: ["team", "others"] }] },
      { require: [{ ...SIGNED, name: "again", anyOf: ["others", "team"] }, SIGNED], authorities: [OTHERS, TEAM] },
    ];
    const found = diffPolicies(side(one, 7), side(other, null));
    expect(found).toMatchObject({ name: "p", before: { version: 7 }, after: { version: null }, effect: "none", changes: [] });
    expect(found.before.digest).not.toBe(found.after.digest);
  });

  test("compares pinned certificates by what they are", () => {
    const times = { notBefore: new Date("2026-01-01"), notAfter: new Date("2027-01-01") };
    const [root, other] = [issue(times).pem, issue(times).pem];
    expect(told(x509(root), x509(`${root}\n`, other))).toEqual(["added looser spec.authorities.team.roots"]);
  });

  test("says of several changes what they do together, if that can be told", () => {
    const more = { require: [SIGNED, { ...SIGNED, name: "again" }] };
    expect(diff({}, { ...more, mode: "enforce" }).effect).toBe("tighter");
    expect(diff({}, { ...more, mode: "warn" }).effect).toBe("unknown");
  });

  test("tells of a key by its name and fingerprint in words, and of values as they are", () => {
    const [change] = diff(keys({ id: "one", pem }), keys({ id: "one", pem }, { id: "two", pem: otherPem })).changes;
    expect(change).toMatchObject({ after: [{ id: "two", pem: otherPem }] });
    expect(change?.message).toMatch(/^authority team: the key two \(sha256:[0-9a-f]{64}\) is added$/);
  });
});

const value = fc.oneof(fc.constantFrom("a", "ab", "abc", "b"), fc.integer({ min: 0, max: 3 }));
const condition = fc.oneof(
  fc.record({ path: fc.constant("/x"), op: fc.constant("in"), value: fc.array(value, { minLength: 1, maxLength: 4 }) }),
  fc.record({ path: fc.constant("/x"), op: fc.constant("prefix"), value: fc.constantFrom("a", "ab", "abc", "b") }),
  fc.record({ path: fc.constant("/x"), op: fc.constant("eq"), value }),
  fc.record({ path: fc.constant("/x"), op: fc.constant("exists") }),
);
const conditions = fc.array(condition, { maxLength: 3 });

test("what is called tighter meets nothing more, what is called looser nothing less, and what is called none the same", () => {
  fc.assert(
    fc.property(conditions, conditions, value, (before, after, found) => {
      const [was, is] = [side(attested(...before)), side(attested(...after))];
      const passes = ({ document }: Side): boolean => {
        const [requirement] = document.spec.require;
        const where = requirement?.evidence.kind === "attestation" ? requirement.evidence.where : [];
        return where.every((each) => meets({ x: found }, each, 0).met);
      };
      const { effect } = diffPolicies(was, is);
      const possible = { tighter: [0, -1], looser: [0, 1], none: [0], unknown: [-1, 0, 1] }[effect];
      expect(possible).toContain(Number(passes(is)) - Number(passes(was)));
    }),
  );
});
