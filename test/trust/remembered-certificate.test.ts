import { X509Certificate as NodeCertificate, createHash } from "node:crypto";
import type { Signature } from "@sigstore/sign";
import { EXTENSION_OID_SCT, X509Certificate } from "@sigstore/core";
import { beforeAll, describe, expect, test } from "vitest";
import { RememberedCertificate } from "../../src/trust/remembered-certificate.ts";
import { publicGoodRoot } from "../../src/trust/trust-root.ts";
import { verifyCandidate } from "../../src/trust/verify.ts";
import * as x509 from "./certificates.ts";
import { HEX, bundled, grounds, keyAuthority, outcome, workflowAuthority } from "./evidence.ts";
import { countSignatureChecks } from "./signature-checks.ts";
import { SigstoreInstance, dsseBundle, keySigner, statement } from "./sigstore-instance.ts";

/** The signature, its certificate, the entry of that in a certificate log, the timestamp, and the promise and the proof of the log entry. */
const CHECKS_OF_ONE = 6;

const sha256 = (bytes: Buffer | string): Buffer => createHash("sha256").update(bytes).digest();
const hinted = (signature: Signature, hint: string): Signature => {
  if (signature.key.$case !== "publicKey") throw new Error("no key");
  return { ...signature, key: { ...signature.key, hint } };
};

let corp: SigstoreInstance;
beforeAll(async () => {
  corp = await SigstoreInstance.start();
});

const keyless = async (): Promise<ReturnType<typeof bundled>> =>
  bundled(await dsseBundle(await corp.identitySigner(), statement(HEX), [corp.logged(), corp.timestamped()]));

/** Certificates of many makers, in DER: those of the public instance, and some of our own. */
async function certificates(): Promise<readonly Buffer[]> {
  const { certificateAuthorities, timestampAuthorities } = publicGoodRoot().material;
  const known = [...certificateAuthorities, ...timestampAuthorities].flatMap(({ certChain }) => certChain);
  const rsa = x509.issue({ notBefore: corp.clock, notAfter: corp.clock, rsaBits: 2_048, extensions: x509.AUTHORITY });
  const below = x509.issue({ notBefore: corp.clock, notAfter: corp.clock }, rsa);
  const leaf = await corp.certificate();
  return [...known.map(({ root }) => root.toDER()), corp.authority.der, leaf.der, rsa.der, below.der];
}

describe("a certificate that remembers", () => {
  test("answers as the library's does, the first time and again", async () => {
    const ders = await certificates();
    const own = ders.map((der) => X509Certificate.parse(Buffer.from(der)));
    const remembered = ders.map((der) => RememberedCertificate.parse(Buffer.from(der)));
    for (let times = 0; times < 2; times += 1) {
      for (const [at, one] of remembered.entries()) {
        expect(one.publicKey).toEqual(own[at]?.publicKey);
        expect(one.verify()).toBe(own[at]?.verify());
        for (const [to, other] of remembered.entries()) {
          expect(one.verify(other)).toBe(own[at]?.verify(own[to]));
          expect(one.equals(other)).toBe(at === to);
        }
      }
    }
    expect(remembered.filter((one) => one.verify()).length).toBeGreaterThan(3);
    expect(remembered.filter((one) => !one.verify()).length).toBeGreaterThan(3);
  });

  test("is another one when a single byte differs, wherever that is", async () => {
    const { der } = await corp.certificate();
    const whole = RememberedCertificate.parse(Buffer.from(der));
    expect(whole.equals(RememberedCertificate.parse(Buffer.from(der)))).toBe(true);
    let read = 0;
    for (let at = 0; at < der.length; at += 1) {
      const changed = Buffer.from(der);
      changed[at] = (changed[at] ?? 0) ^ 1;
      const other = parsedOrNot(changed);
      if (other === undefined) continue;
      read += 1;
      expect(whole.equals(other)).toBe(false);
    }
    expect(read).toBeGreaterThan(der.length / 2);
  });

  test("is left as it is by a change of its copy", async () => {
    const { der } = await corp.certificate();
    const whole = RememberedCertificate.parse(Buffer.from(der));
    const copy = whole.clone();
    expect(copy.root.toDER()).toEqual(der);
    const at = copy.extensions.findIndex(({ subs }) => subs[0]?.toOID() === EXTENSION_OID_SCT);
    copy.extensions.splice(at, 1);
    expect(copy.root.toDER().length).toBeLessThan(der.length);
    expect(whole.root.toDER()).toEqual(der);
    expect(new NodeCertificate(whole.root.toDER()).raw).toEqual(der);
  });
});

function parsedOrNot(der: Buffer<ArrayBuffer>): RememberedCertificate | undefined {
  try {
    const parsed = RememberedCertificate.parse(der);
    return parsed.signatureValue.length > 0 ? parsed : undefined;
  } catch {
    return undefined;
  }
}

describe("the cost of verification, in signatures that are checked", () => {
  test("is six for each signature by an identity, however many times prove it, once the trust root was looked at", async () => {
    const candidates = [await keyless(), await keyless(), await keyless()];
    const on = grounds(corp.clock, corp.trustRoot);
    const authority = workflowAuthority({ timestamps: 2 });
    const judge = (candidate: (typeof candidates)[number]): string => outcome(verifyCandidate(candidate, authority, on));
    expect(judge(await keyless())).toBe("ok");
    const checked = countSignatureChecks();
    expect(candidates.map(judge)).toEqual(["ok", "ok", "ok"]);
    expect(checked()).toBe(candidates.length * CHECKS_OF_ONE);
  });

  test("is one for a signature by a key that the signer names, whatever other keys there are", async () => {
    const signers = Array.from({ length: 16 }, () => keySigner());
    const authority = keyAuthority(signers.map(({ pem }) => pem));
    const on = grounds(corp.clock);
    const last = signers[15] ?? keySigner();
    const hint = (name: string, signer: typeof last): Promise<ReturnType<typeof bundled>> =>
      dsseBundle({ sign: async (data) => hinted(await signer.sign(data), name) }, statement(HEX)).then(bundled);
    const spki = last.publicKey.export({ type: "spki", format: "der" });
    for (const name of [sha256(spki).toString("base64"), sha256(last.pem).toString("hex")]) {
      const candidate = await hint(name, last);
      const checked = countSignatureChecks();
      const before = checked();
      expect(outcome(verifyCandidate(candidate, authority, on))).toBe("ok");
      expect(checked() - before).toBe(1);
    }
    // The name is whatever the sender wrote.
    expect(outcome(verifyCandidate(await hint(sha256(signers[0]?.pem ?? "").toString("hex"), last), authority, on))).toBe("ok");
    expect(outcome(verifyCandidate(await hint(sha256(last.pem).toString("hex"), keySigner()), authority, on))).toBe("signature-invalid");
  });
});
