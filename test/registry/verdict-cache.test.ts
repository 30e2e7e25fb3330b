import { generateKeyPairSync, sign } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { OCI_IMAGE } from "../../src/oci/media-types.ts";
import { verdictOn } from "../../src/registry/verdict-cache.ts";
import { type Authority, authoritySchema } from "../../src/trust/authority.ts";
import { type Candidate, candidatesOf } from "../../src/trust/candidate.ts";
import { subjectOf } from "../../src/trust/subject.ts";
import { parseTrustRoot } from "../../src/trust/trust-root.ts";
import type { Grounds } from "../../src/trust/verdict.ts";
import type { KeyPair } from "../trust/certificates.ts";
import { HEX, type Layer, MODEL, bundled, grounds, keyAuthority, manifestWith, outcome, workflowAuthority } from "../trust/evidence.ts";
import { countSignatureChecks } from "../trust/signature-checks.ts";
import { SigstoreInstance, dsseBundle, keySigner, statement, wholeSecond } from "../trust/sigstore-instance.ts";

const clock = wholeSecond();
const later = new Date(clock.getTime() + 60_000);
const key = keySigner();
const newKeys = (): KeyPair => generateKeyPairSync("ec", { namedCurve: "P-256" });
let corp: SigstoreInstance;
beforeAll(async () => {
  corp = await SigstoreInstance.start({ clock });
});

const keyless = async (): Promise<Candidate> =>
  bundled(await dsseBundle(await corp.identitySigner(), statement(HEX), [corp.logged(), corp.timestamped()]));
const byKey = async (signer = key, predicate: unknown = {}): Promise<Candidate> =>
  bundled(await dsseBundle(signer, statement(HEX, undefined, predicate)));

/** The outcome, and whether anybody looked at a signature for it. */
function judge(candidate: Candidate, authority: Authority, on: Grounds): { readonly says: string; readonly looked: boolean } {
  const checked = countSignatureChecks();
  const before = checked();
  const says = outcome(verdictOn(candidate, authority, on));
  return { says, looked: checked() > before };
}
const KNOWN = { says: "ok", looked: false };
const NEW = { says: "ok", looked: true };

describe("a verdict is remembered", () => {
  test("for the same evidence, wherever it is attached, and for whoever asks for the same by other names", async () => {
    const candidate = await keyless();
    const on = grounds(clock, corp.trustRoot);
    expect(judge(candidate, workflowAuthority(), on)).toEqual(NEW);
    expect(judge(candidate, workflowAuthority(), grounds(later, corp.trustRoot))).toEqual(KNOWN);
    expect(judge({ ...candidate, manifest: MODEL.digest }, workflowAuthority({ name: "other" }), on)).toEqual(KNOWN);
    const renamed = { ...on, trustRoots: new Map([["public", corp.trustRoot]]) };
    expect(judge(candidate, workflowAuthority({ trustRoot: "public" }), renamed)).toEqual(KNOWN);
  });

  test("also when it refuses", async () => {
    const stranger = await byKey(keySigner());
    const authority = keyAuthority([key.pem]);
    expect(judge(stranger, authority, grounds(clock))).toEqual({ says: "signature-invalid", looked: true });
    expect(judge(stranger, authority, grounds(clock))).toEqual({ says: "signature-invalid", looked: false });
  });
});

describe("a verdict is found anew", () => {
  test("when the authority asks for more, or takes its key back", async () => {
    const candidate = bundled(await dsseBundle(key, statement(HEX), [corp.timestamped()]));
    const on = grounds(clock, corp.trustRoot);
    const limited = (limits: object): Authority => keyAuthority([], { keys: [{ id: "key-0", pem: key.pem, ...limits }], timestamps: 1 });
    expect(judge(candidate, limited({}), on).says).toBe("ok");
    expect(judge(candidate, limited({ revokedAt: clock.toISOString() }), on).says).toBe("key-not-valid-then");
    expect(judge(candidate, { ...limited({}), timestamps: 2 }, on).says).toBe("timestamp-missing");
    expect(judge(candidate, keyAuthority([keySigner().pem], { timestamps: 1 }), on).says).toBe("signature-invalid");
  });

  test("when the trust root is another one, or is gone, which is not the same as to ask for none", async () => {
    const candidate = await keyless();
    const authority = workflowAuthority();
    expect(judge(candidate, authority, grounds(clock, corp.trustRoot)).says).toBe("ok");
    const without = parseTrustRoot(Buffer.from(JSON.stringify({ ...corp.document, certificateAuthorities: [] })));
    expect(judge(candidate, authority, grounds(clock, without)).says).toBe("certificate-untrusted");
    const gone = { ...grounds(clock), trustRoots: new Map() };
    expect(judge(candidate, authority, gone).says).toBe("trust-root-missing");
    const signed = await byKey();
    const plain = authoritySchema.parse({ type: "key", name: "team", keys: [{ id: "key-0", pem: key.pem }] });
    expect(judge(signed, plain, gone).says).toBe("ok");
    expect(judge(signed, keyAuthority([key.pem]), gone).says).toBe("trust-root-missing");
  });

  test("for another artifact", async () => {
    const other = manifestWith([{ bytes: Buffer.from("other weights") }]);
    const candidate = await byKey();
    expect(judge(candidate, keyAuthority([key.pem]), grounds(clock)).says).toBe("ok");
    const on = grounds(clock, undefined, subjectOf(other.bytes, OCI_IMAGE));
    expect(judge(candidate, keyAuthority([key.pem]), on).says).toBe("subject-mismatch");
  });

  test("where the present has a say: in a log entry that nothing tells the time of", async () => {
    const candidate = bundled(await dsseBundle(await corp.identitySigner(), statement(HEX), [corp.logged("v2"), corp.timestamped()]));
    const authority = keyAuthority([key.pem], { tlog: 1 });
    const logged = bundled(await dsseBundle(key, statement(HEX), [corp.logged("v2")]));
    expect(judge(logged, authority, grounds(clock, corp.trustRoot))).toEqual(NEW);
    expect(judge(logged, authority, grounds(clock, corp.trustRoot))).toEqual(NEW);
    // A timestamp tells.
    expect(judge(candidate, workflowAuthority(), grounds(clock, corp.trustRoot))).toEqual(NEW);
    expect(judge(candidate, workflowAuthority(), grounds(clock, corp.trustRoot))).toEqual(KNOWN);
  });

  test("for each of several signatures over the same bytes, which differ in annotations alone", () => {
    const claim = Buffer.from(
      JSON.stringify({ critical: { image: { "docker-manifest-digest": MODEL.digest }, type: "cosign container image signature" } }),
    );
    const [alice, bob] = [newKeys(), newKeys()];
    const layers = [alice, bob].map(({ privateKey }): Layer => {
      const signature = sign("sha256", claim, privateKey).toString("base64");
      return { bytes: claim, annotations: { "dev.cosignproject.cosign/signature": signature } };
    });
    const { candidates } = candidatesOf(manifestWith(layers));
    const authority = keyAuthority([bob.publicKey.export({ type: "spki", format: "pem" })]);
    const verdicts = candidates.map((candidate) => verdictOn(candidate, authority, grounds(clock)));
    expect(verdicts.map(outcome)).toEqual(["signature-invalid", "ok"]);
  });

  test("when it was not asked for in a while, or tells too much to be kept", async () => {
    const candidate = await byKey();
    const authority = keyAuthority([key.pem]);
    expect(judge(candidate, authority, grounds(clock))).toEqual(NEW);
    for (let at = 0; at < 1_024; at += 1) verdictOn({ ...candidate, id: digestOf(String(at)) }, authority, grounds(clock));
    expect(judge(candidate, authority, grounds(clock))).toEqual(NEW);
    const long = await byKey(key, { text: "x".repeat(20_000) });
    expect([judge(long, authority, grounds(clock)), judge(long, authority, grounds(clock))]).toEqual([NEW, NEW]);
  });
});
