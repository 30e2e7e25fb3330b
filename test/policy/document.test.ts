import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { matchesRepository, parsePolicy, policyDigest } from "../../src/policy/document.ts";
import { MAX_POLICY_BYTES } from "../../src/policy/document-text.ts";
import { errorOf } from "../support/error-of.ts";
import { keySigner } from "../support/private-sigstore.ts";

const { pem } = keySigner();
const { pem: otherPem } = keySigner();
const TEAM = { type: "key", name: "team", keys: [{ id: "one", pem }] };
const SIGNED = { name: "signed", anyOf: ["team"], evidence: { kind: "signature" } };
const SPEC = { match: { repositories: ["models/**"] }, authorities: [TEAM], require: [SIGNED] };

function written(spec: object = {}, more: object = {}): object {
  return {
    apiVersion: "trust.ai-model-registry.dev/v1",
    kind: "TrustPolicy",
    metadata: { name: "p" },
    spec: { ...SPEC, ...spec },
    ...more,
  };
}

const parse = (document: unknown): ReturnType<typeof parsePolicy> => parsePolicy(Buffer.from(JSON.stringify(document)), "json");
const parseYaml = (text: string): ReturnType<typeof parsePolicy> => parsePolicy(Buffer.from(text), "yaml");
const faultOf = (read: () => unknown): string => {
  const error = errorOf(read);
  return error instanceof Error ? error.message : "nothing";
};

describe("parsePolicy()", () => {
  test("fills in every default, so that a digest means one policy for ever", () => {
    const policy = parse(written());
    expect(policy.spec).toMatchObject({ mode: "enforce", trustRoots: {}, require: [{ threshold: 1, evidence: { formats: ["bundle"] } }] });
    expect(policyDigest(parse(policy))).toBe(policyDigest(policy));
  });

  test("reads YAML and JSON alike", () => {
    expect(policyDigest(parseYaml(stringify(written())))).toBe(policyDigest(parse(written())));
  });

  test.each<[string, object, string]>([
    ["a member that is not known, at the top", written({}, { more: 1 }), 'Unrecognized key: "more"'],
    ["a member that is not known, within", written({ require: [{ ...SIGNED, treshold: 2 }] }), "spec.require[0]"],
    ["another version", written({}, { apiVersion: "trust.ai-model-registry.dev/v2" }), "apiVersion"],
    ["a pattern with an upper-case letter", written({ match: { repositories: ["Models/*"] } }), "spec.match.repositories[0]"],
    ["a regular expression", written({ match: { repositories: ["models/(a|b)"] } }), "spec.match.repositories[0]"],
    ["no repository", written({ match: { repositories: [] } }), "spec.match.repositories"],
    ["no requirement", written({ require: [] }), "spec.require"],
    ["another mode", written({ mode: "audit" }), "spec.mode"],
    ["an authority that there is not", written({ require: [{ ...SIGNED, anyOf: ["nobody"] }] }), "nobody is not among"],
    ["signed evidence by nobody", written({ require: [{ ...SIGNED, anyOf: [] }] }), "must name the authorities"],
    ["an authority twice", written({ authorities: [TEAM, TEAM] }), "spec.authorities[1].name: team comes twice"],
    ["a requirement twice", written({ require: [SIGNED, SIGNED] }), "spec.require[1].name: signed comes twice"],
    [
      "more signers than there are keys",
      written({ require: [{ ...SIGNED, threshold: 2 }] }),
      "spec.require[0].threshold: can never be met",
    ],
    ["a trust root that there is not", written({ authorities: [{ ...TEAM, trustRoot: "corp" }] }), "spec.authorities[0].trustRoot"],
    ["authorities for approvals", written({ require: [{ ...SIGNED, evidence: { kind: "approvals", minimum: 1 } }] }), "not for approvals"],
    ["approvals by nobody", written({ require: [{ name: "a", evidence: { kind: "approvals", minimum: 0 } }] }), "minimum"],
    ["a signature as an attestation", attested({ predicateType: "https://sigstore.dev/cosign/sign/v1" }), "ask for kind signature"],
    ["a pointer that is none", attested({ where: [{ path: "result", op: "exists" }] }), "must be a JSON pointer"],
    ["an operator that is not known", attested({ where: [{ path: "/a", op: "matches", value: ".*" }] }), "where[0].op"],
    ["a value of another type", attested({ where: [{ path: "/a", op: "maxAgeSeconds", value: "1d" }] }), "where[0].value"],
    ["a number that readers round", attested({ where: [{ path: "/a", op: "eq", value: 2 ** 60 }] }), "not the same to every reader"],
  ])("refuses %s, and says where", (_, document, said) => {
    expect(faultOf(() => parse(document))).toContain(said);
  });

  test("counts a key once, whatever it is called", () => {
    const again = { type: "key", name: "again", keys: [{ id: "other", pem }] };
    const both = { ...SIGNED, anyOf: ["team", "again"], threshold: 2 };
    expect(faultOf(() => parse(written({ authorities: [TEAM, again], require: [both] })))).toContain("can never be met");
    const two = { ...TEAM, keys: [...TEAM.keys, { id: "two", pem: otherPem }] };
    expect(parse(written({ authorities: [two], require: [{ ...SIGNED, threshold: 2 }] })).spec.require[0]?.threshold).toBe(2);
  });

  test("takes no number for a digest, as YAML has it of digits alone", () => {
    expect(faultOf(() => parseYaml(rooted("1".repeat(64))))).toContain("spec.trustRoots.corp.digest: must be a digest");
    const digest = `sha256:${"1".repeat(64)}`;
    expect(parseYaml(rooted(digest)).spec.trustRoots["corp"]).toEqual({ name: "corp", digest });
  });

  test("tells of that form of a trust root which a document comes closest to", () => {
    const roots = (corp: object): string => faultOf(() => parse(written({ trustRoots: { corp } })));
    const tuf = { name: "corp", rootDigest: `sha256:${"1".repeat(64)}`, maxAgeHours: 72 };
    expect(roots({ tuf: { ...tuf, maxAgeHours: 0 } })).toContain("spec.trustRoots.corp.tuf.maxAgeHours");
    expect(roots({ tuf: { ...tuf, rootFile: "root.json" } })).toContain('spec.trustRoots.corp.tuf: Unrecognized key: "rootFile"');
    expect(roots({ name: "corp" })).toContain("spec.trustRoots.corp.digest");
    expect(parse(written({ trustRoots: { corp: { tuf } } })).spec.trustRoots).toEqual({ corp: { tuf: { ...tuf, stale: "refuse" } } });
  });

  test.each([
    ["an alias", "a: &x 1\nb: *x", "aliases are not read"],
    ["a tag of its own", "a: !thing 1", ""],
    ["a key twice", "a: 1\na: 2", 'the key "a" comes twice'],
    ["a key that is no text", "1: a", "a key must be text"],
    ["two documents", "a: 1\n---\nb: 2", ""],
    ["infinity", "a: .inf", "a value must be text, a finite number"],
    ["what is no YAML", "a: [", ""],
    ["nesting without end", `a: ${"[".repeat(40)}${"]".repeat(40)}`, "it is nested more than"],
  ])("refuses YAML with %s", (_, text, said) => {
    expect(faultOf(() => parseYaml(text))).toContain(`the policy is invalid: ${said}`);
  });

  test("refuses more than 256 KiB, before it is parsed", () => {
    expect(faultOf(() => parseYaml(" ".repeat(MAX_POLICY_BYTES + 1)))).toContain("has more than 262144 bytes");
  });

  test("answers any text with a policy or with the rule that it breaks", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.object().map((value) => stringify(value)),
        ),
        fc.constantFrom("json", "yaml"),
        (text, notation) => {
          expect(() => parsePolicy(Buffer.from(text), notation)).toThrow(/^the policy is invalid: /);
        },
      ),
    );
  });
});

function rooted(digest: string): string {
  return stringify(written()).replace("spec:\n", `spec:\n  trustRoots: { corp: { name: corp, digest: ${digest} } }\n`);
}

function attested(evidence: object): object {
  const asked = { kind: "attestation", predicateType: "https://example.org/scan/v1", ...evidence };
  return written({ require: [{ ...SIGNED, evidence: asked }] });
}

test("matchesRepository() holds a pattern against the whole name", () => {
  const names = ["models", "models/a", "models/a/b", "xmodels/a", "models/ax"];
  const matched = (pattern: string): string[] => names.filter((name) => matchesRepository([pattern], name));
  expect(matched("models/a")).toEqual(["models/a"]);
  expect(matched("models/*")).toEqual(["models/a", "models/ax"]);
  expect(matched("models/**")).toEqual(["models/a", "models/a/b", "models/ax"]);
  expect(matched("**")).toEqual(names);
});
