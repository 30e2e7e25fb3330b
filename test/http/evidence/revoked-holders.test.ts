import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { Artifact } from "../../support/policy-registry.ts";
import { Publishers } from "../../support/publishers.ts";
import * as x509 from "../../trust/certificates.ts";
import { ENVELOPES, NOTARY_ROOT, VALIDITY, holderOf } from "../../trust/notation-envelopes.ts";
import { HOLDERS } from "./rows-files.ts";
import { type Demand, EvidenceWorld, codesIn } from "./world.ts";

// The holder of a certificate of which one policy pins the root, and another one a certificate on the way to it (trust.md §7.4).

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let world: EvidenceWorld;
let publishers: Publishers;
beforeAll(async () => {
  world = await EvidenceWorld.start();
  publishers = new Publishers(world.policies);
});
afterAll(() => world.stop());
afterEach(() => publishers.liftAll());

const named = (name: string): Pick<x509.CertificateForm, "subject" | "notBefore" | "notAfter"> => ({
  ...VALIDITY,
  subject: [
    [x509.CN, name],
    [x509.O, "Corp"],
  ],
});
const between = x509.issue({ ...named("between"), extensions: x509.AUTHORITY }, NOTARY_ROOT);
const holder = x509.issue({ ...named("release"), extensions: x509.SIGNER }, between);
/** Another holder of that name, whose certificate the root issued itself. */
const namesake = holderOf();

const evidence = { kind: "signature", formats: ["notation"] };
const byRoot: Demand = { authorities: [HOLDERS], evidence };
const byBetween: Demand = { authorities: [{ ...HOLDERS, name: "between", roots: [between.pem] }], evidence };
const byBoth: Demand = { authorities: [...byRoot.authorities, ...byBetween.authorities], evidence };

/** An artifact that somebody signed, in the repositories of a policy. */
async function signed(demand: Demand, by = holder): Promise<Artifact> {
  const artifact = await world.push(await world.demand(demand));
  const [, mediaType, make] = ENVELOPES[0];
  const chain = by === holder ? [holder, between, NOTARY_ROOT] : [by, NOTARY_ROOT];
  await world.attach(artifact, { bytes: await make({ by, chain }), mediaType });
  return artifact;
}

/** How its promotion ends, by what code its evidence counts for nothing, and its state then. */
async function promoted(artifact: Artifact): Promise<readonly unknown[]> {
  const { status, decision } = await world.policies.act(artifact, "promote");
  const codes = decision.allowed ? [] : [...new Set(codesIn(decision))];
  return [status, ...codes, await world.policies.stateOf(artifact)];
}
const TRUSTED = [200, "trusted"];
const REFUSED = [422, "authority-revoked", "acquired"];

describe("the holder of a certificate, revoked below whichever is pinned,", () => {
  let subject: { readonly exact: string };
  let root: string;
  beforeEach(async () => {
    const { decision } = await world.policies.act(await signed(byRoot), "evaluate");
    const signer = decision.policies[0]?.requirements[0]?.accepted[0]?.signer;
    if (signer?.type !== "certificate") throw new Error("nobody signed by a certificate");
    subject = { exact: signer.subject };
    root = signer.root;
  });

  test("signs no promotion any more below either, nor below both together, until that is lifted", async () => {
    const artifacts = [await signed(byRoot), await signed(byBetween), await signed(byBoth)];
    const { statement } = await publishers.revoke({ type: "certificate", subject });
    for (const artifact of artifacts) expect(await promoted(artifact)).toEqual(REFUSED);
    expect((await publishers.lift(statement)).status).toBe(200);
    for (const artifact of artifacts) expect(await promoted(artifact)).toEqual(TRUSTED);
  });

  test("nor below one that a policy pins only later", async () => {
    await publishers.revoke({ type: "certificate", subject });
    const later = { ...byBetween, authorities: byBetween.authorities.map((authority) => ({ ...authority, name: "later" })) };
    expect(await promoted(await signed(later))).toEqual(REFUSED);
  });

  test("is whoever else has the name, and nobody of another name", async () => {
    await publishers.revoke({ type: "certificate", subject });
    expect(await promoted(await signed(byRoot, namesake))).toEqual(REFUSED);
    await publishers.liftAll();
    await publishers.revoke({ type: "certificate", subject: { exact: subject.exact.replace("release", "other") } });
    expect(await promoted(await signed(byRoot))).toEqual(TRUSTED);
  });

  test("while one that is revoked below one of them signs on below the other, which may have another holder of that name", async () => {
    await publishers.revoke({ type: "certificate", root, subject });
    expect(await promoted(await signed(byRoot))).toEqual(REFUSED);
    expect(await promoted(await signed(byBetween))).toEqual(TRUSTED);
    expect(await promoted(await signed(byBoth))).toEqual(TRUSTED);
  });
});
