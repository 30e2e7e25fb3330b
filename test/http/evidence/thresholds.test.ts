import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import type { Artifact } from "../../support/policy-registry.ts";
import { policyOf } from "../../support/policy-registry.ts";
import { keyAuthority, workflowAuthority } from "../../trust/evidence.ts";
import * as x509 from "../../trust/certificates.ts";
import { signatureLayer } from "../../trust/legacy-layers.ts";
import { ENVELOPES, NOTARY_ROOT, VALIDITY, holder, holderOf } from "../../trust/notation-envelopes.ts";
import { ISSUER, WORKFLOW, keySigner } from "../../trust/sigstore-instance.ts";
import { KEY, dsse, keySigned, layerOf, message, workflowSigned } from "./signed.ts";
import { HOLDERS } from "./rows-files.ts";
import { type Demand, EvidenceWorld } from "./world.ts";

// How many have signed, and which policies are refused before they could decide wrongly (trust.md §4).

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let world: EvidenceWorld;
beforeAll(async () => {
  world = await EvidenceWorld.start();
});
afterAll(() => world.stop());

beforeAll(async () => {
  await world.policies.putPolicy(
    policyOf("kept", "models/kept/*", {
      authorities: [keyAuthority([KEY.pem], { trustRoot: undefined })],
      require: [{ name: "evidence", anyOf: ["team"], evidence: { kind: "signature" } }],
    }),
  );
});

const second = keySigner();
const pushed = async (demand: Demand): Promise<Artifact> => world.push(await world.demand(demand));
const ANY = { kind: "signature", formats: ["bundle", "cosign-legacy", "notation"] };

/** What becomes of a promotion that wants two signers with this evidence, and once the second one has signed besides. */
async function withSecond(artifact: Artifact, evidence: readonly Parameters<EvidenceWorld["attach"]>[1][]): Promise<readonly unknown[]> {
  for (const each of evidence) await world.attach(artifact, each);
  const { status, decision } = await world.policies.act(artifact, "promote");
  await world.attach(artifact, layerOf(await dsse(second)));
  const told = decision.policies[0]?.requirements[0]?.message.split(" by ")[0];
  return [status, told, (await world.policies.act(artifact, "promote")).status];
}
const ONE_OF_TWO = [422, "1 of 2 signers", 200];

describe("one signer is one,", () => {
  test("whatever names its key has in an authority", async () => {
    const keys = [KEY.pem, KEY.pem, second.pem];
    expect(await withSecond(await pushed({ authorities: [keyAuthority(keys)], threshold: 2 }), [await keySigned()])).toEqual(ONE_OF_TWO);
  });

  test("in however many authorities its key is, and however often it signs in whatever format", async () => {
    const authorities = [
      keyAuthority([KEY.pem], { name: "one" }),
      keyAuthority([KEY.pem], { name: "other" }),
      keyAuthority([second.pem], { name: "second" }),
    ];
    const evidence = [await keySigned(), layerOf(await message(KEY)), await signatureLayer(KEY)];
    expect(await withSecond(await pushed({ authorities, threshold: 2, evidence: ANY }), evidence)).toEqual(ONE_OF_TWO);
  });

  test("an identity, with however many certificates and keys", async () => {
    const authorities = [
      workflowAuthority({ name: "one" }),
      workflowAuthority({ name: "other", identities: [{ issuer: { exact: ISSUER }, subject: { glob: "**" } }] }),
      keyAuthority([second.pem]),
    ];
    const evidence = [await workflowSigned(world.instances), await workflowSigned(world.instances)];
    expect(await withSecond(await pushed({ authorities, threshold: 2 }), evidence)).toEqual(ONE_OF_TWO);
  });

  test("the holder of a certificate, with however many certificates of one name", async () => {
    const authorities = [HOLDERS, { ...HOLDERS, name: "again" }, keyAuthority([second.pem])];
    const [, mediaType, make] = ENVELOPES[0];
    const evidence = [
      { bytes: await make(), mediaType },
      { bytes: await make({ by: holderOf() }), mediaType },
    ];
    expect(await withSecond(await pushed({ authorities, threshold: 2, evidence: ANY }), evidence)).toEqual(ONE_OF_TWO);
  });

  test("a key, by itself and in a certificate", async () => {
    const held = keySigner({ publicKey: holder.publicKey, privateKey: holder.key });
    const authorities = [HOLDERS, keyAuthority([held.pem], { name: "keys" }), keyAuthority([second.pem], { name: "second" })];
    const [, mediaType, make] = ENVELOPES[0];
    const evidence = [{ bytes: await make(), mediaType }, layerOf(await dsse(held))];
    expect(await withSecond(await pushed({ authorities, threshold: 2, evidence: ANY }), evidence)).toEqual(ONE_OF_TWO);
  });

  test("a certificate, however many certificates above it are pinned", async () => {
    const between = x509.issue({ ...VALIDITY, subject: [[x509.CN, "between"]], extensions: x509.AUTHORITY }, NOTARY_ROOT);
    const by = x509.issue(
      {
        ...VALIDITY,
        subject: [
          [x509.CN, "release"],
          [x509.O, "Corp"],
        ],
        extensions: x509.SIGNER,
      },
      between,
    );
    const authorities = [HOLDERS, { ...HOLDERS, name: "between", roots: [between.pem] }, keyAuthority([second.pem])];
    const [, mediaType, make] = ENVELOPES[0];
    const evidence = [
      { bytes: await make({ by, chain: [by, between, NOTARY_ROOT] }), mediaType },
      { bytes: await make({ by, chain: [by] }), mediaType },
    ];
    expect(await withSecond(await pushed({ authorities, threshold: 2, evidence: ANY }), evidence)).toEqual(ONE_OF_TWO);
  });
});

test("what only warns is told and lets through", async () => {
  const artifact = await pushed({ authorities: [keyAuthority([KEY.pem])], mode: "warn" });
  const { status, decision } = await world.policies.act(artifact, "promote");
  expect(status).toBe(200);
  expect(decision).toMatchObject({ policy: "built-in/closure@1", policies: [{ mode: "warn", requirements: [{ met: false }] }] });
  expect(decision.checks.at(-1)).toMatchObject({ status: "warn" });
});

const identities = (...all: readonly object[]): object => ({ authorities: [{ ...workflowAuthority(), identities: all }] });
const one = { issuer: { exact: ISSUER }, subject: { exact: WORKFLOW } };
const limited = (limit: object): object => ({
  authorities: [{ type: "key", name: "team", trustRoot: "corp", keys: [{ id: "key", pem: KEY.pem, ...limit }] }],
});
const stated = (...where: readonly object[]): object => ({
  authorities: [keyAuthority([KEY.pem])],
  require: [{ name: "scan", anyOf: ["team"], evidence: { kind: "attestation", predicateType: "https://example.org/scan/v1", where } }],
});

describe("a policy is refused with the place and the rule, and changes nothing, when it would accept", () => {
  test.each<[string, object, string]>([
    ["any identity, as there is none (3)", identities(), "spec.authorities[0].identities"],
    ["any identity, as the name is empty (3)", identities({ ...one, subject: { exact: "" } }), "spec.authorities[0].identities[0].subject"],
    [
      "any identity, as the pattern is empty (3)",
      identities({ ...one, subject: { glob: "" } }),
      "spec.authorities[0].identities[0].subject",
    ],
    [
      "an identity by a regular expression (3)",
      identities({ ...one, subject: { regexp: ".*" } }),
      "spec.authorities[0].identities[0].subject",
    ],
    ["any issuer (3)", identities({ subject: one.subject }), "spec.authorities[0].identities[0].issuer"],
    ["issuers by a pattern (3)", identities({ ...one, issuer: { glob: "**" } }), "spec.authorities[0].identities[0].issuer"],
    [
      "a pattern with more than 16 wildcards (4)",
      identities({ ...one, subject: { glob: "a*".repeat(17) } }),
      "spec.authorities[0].identities[0].subject",
    ],
    ["a key after its end, as no time is asked for (7)", limited({ validUntil: "2030-01-01T00:00:00Z" }), "spec.authorities[0].timestamps"],
    [
      "a key that was revoked, as no time is asked for (7)",
      limited({ revokedAt: "2030-01-01T00:00:00Z" }),
      "spec.authorities[0].timestamps",
    ],
    ["certificates without a time (10)", { authorities: [{ ...workflowAuthority(), timestamps: 0 }] }, "spec.authorities[0].timestamps"],
    [
      "a weak key (11)",
      { authorities: [{ type: "key", name: "team", keys: [{ id: "key", pem: "none" }] }] },
      "spec.authorities[0].keys[0].pem",
    ],
    [
      "what a trust root says that nobody named",
      { authorities: [workflowAuthority({ trustRoot: "elsewhere" })] },
      "spec.authorities[0].trustRoot",
    ],
    ["a path that means any place", stated({ path: "result", op: "exists" }), "spec.require[0].evidence.where[0].path"],
    ["a text by a regular expression", stated({ path: "/a", op: "matches", value: ".*" }), "spec.require[0].evidence.where[0].op"],
    ["what it does not know", { ...stated(), pass: true }, "pass"],
  ])("%s", async (_, spec, place) => {
    const good = (await world.policies.send("operator", "GET /v1/policies/kept")).json;
    const { corp } = world.instances;
    const root = await world.policies.send("operator", "PUT /v1/trust-roots/corp-root", JSON.stringify(corp.document));
    const { digest } = z.looseObject({ digest: z.string() }).parse(root.json);
    const require = [{ name: "evidence", anyOf: ["team"], evidence: { kind: "signature" } }];
    const policy = policyOf("kept", "models/kept/*", { trustRoots: { corp: { name: "corp-root", digest } }, require, ...spec });
    const { status, text } = await world.policies.send("operator", "PUT /v1/policies/kept", JSON.stringify(policy));
    expect(status).toBe(400);
    expect(text).toContain(place);
    expect((await world.policies.send("operator", "GET /v1/policies/kept")).json).toEqual(good);
  });
});
