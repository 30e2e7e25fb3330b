import type { SerializedBundle } from "@sigstore/bundle";
import { beforeAll, describe, expect, test } from "vitest";
import { parseTrustRoot } from "../../src/trust/trust-root.ts";
import { verifyCandidate } from "../../src/trust/verify.ts";
import {
  type BundleJson,
  EMPTY_ROOT,
  HEX,
  MODEL,
  OTHER_HEX,
  bundled,
  changed,
  grounds,
  judge,
  keyAuthority,
  workflowAuthority,
} from "./evidence.ts";
import {
  ISSUER,
  SigstoreInstance,
  WORKFLOW,
  dsseBundle,
  identity,
  keySigner,
  messageBundle,
  statement,
  wholeSecond,
} from "./sigstore-instance.ts";
import * as x509 from "./certificates.ts";

const PREDICATE = "https://slsa.dev/provenance/v1";
const key = keySigner();
const authority = keyAuthority([key.pem]);
const clock = wholeSecond();
const minutes = (count: number): Date => new Date(clock.getTime() + count * 60_000);

let corp: SigstoreInstance;
let late: SigstoreInstance;
beforeAll(async () => {
  corp = await SigstoreInstance.start({ clock });
  // Its timestamps are from after the end of its certificates.
  late = await SigstoreInstance.start({ clock, timestampClock: minutes(60) });
});

const base64 = (text: string | Buffer): string => Buffer.from(text).toString("base64");

const judgeKey = async (limits: object): Promise<string> => {
  const bundle = bundled(await dsseBundle(key, statement(HEX), [corp.timestamped()]));
  const limited = keyAuthority([], { keys: [{ id: "key-0", pem: key.pem, ...limits }], timestamps: 1 });
  return judge(bundle, limited, grounds(minutes(600), corp.trustRoot));
};

const certified = async (wish: Parameters<SigstoreInstance["certificate"]>[0] = {}): Promise<SerializedBundle> =>
  dsseBundle(await corp.identitySigner(wish), statement(HEX), [corp.logged()]);

describe("a signature by a key, without a log and timestamps", () => {
  const on = grounds(clock, EMPTY_ROOT);

  test("over a statement counts", async () => {
    const verdict = verifyCandidate(bundled(await dsseBundle(key, statement(HEX, PREDICATE, { level: 3 }))), authority, on);
    expect(verdict).toMatchObject({
      ok: true,
      kind: "attestation",
      predicateType: PREDICATE,
      predicate: { level: 3 },
      signer: { type: "key", id: "key-0" },
      at: null,
    });
  });

  test("over the manifest counts", async () => {
    const verdict = verifyCandidate(bundled(await messageBundle(key, MODEL.bytes)), authority, on);
    expect(verdict).toMatchObject({ ok: true, kind: "signature", predicateType: null, signed: MODEL.digest });
  });

  test("over other bytes than the manifest does not", async () => {
    expect(judge(bundled(await messageBundle(key, Buffer.from("other"))), authority, on)).toBe("signature-invalid");
  });

  test("about another artifact does not", async () => {
    expect(judge(bundled(await dsseBundle(key, statement(OTHER_HEX))), authority, on)).toBe("subject-mismatch");
  });

  test.each<[string, (copy: BundleJson) => void, string]>([
    [
      "payload",
      (copy) => (copy.dsseEnvelope.payload = base64(JSON.stringify(statement(HEX, "https://other.example/x")))),
      "signature-invalid",
    ],
    ["type of the payload", (copy) => (copy.dsseEnvelope.payloadType = "text/plain"), "payload-type"],
    ["signature", (copy) => (copy.dsseEnvelope.signatures = [{ sig: base64("junk") }]), "signature-invalid"],
  ])("whose %s was changed does not", async (_, change, code) => {
    expect(judge(bundled(changed(await dsseBundle(key, statement(HEX)), change)), authority, on)).toBe(code);
  });

  test("by a key that the authority does not have does not, whatever its hint says", async () => {
    const stranger = keySigner(undefined, { hint: "key-0" });
    expect(judge(bundled(await dsseBundle(stranger, statement(HEX))), authority, on)).toBe("signature-invalid");
  });

  test("does not count for an authority that wants a log entry", async () => {
    expect(judge(bundled(await dsseBundle(key, statement(HEX))), keyAuthority([key.pem], { tlog: 1 }), on)).toBe("log-entry-missing");
  });
});

describe("a signature by a key that was timestamped", () => {
  test.each<[string, object, string]>([
    ["without limits", {}, "ok"],
    ["that was valid then, and no longer is", { validUntil: "2100-01-01T00:00:00Z" }, "ok"],
    ["that had ended", { validUntil: "2020-01-01T00:00:00Z" }, "key-not-valid-then"],
    ["that had not begun", { validFrom: "2100-01-01T00:00:00Z" }, "key-not-valid-then"],
    ["that had been revoked", { revokedAt: "2020-01-01T00:00:00Z" }, "key-not-valid-then"],
    ["that was revoked later", { revokedAt: "2100-01-01T00:00:00Z" }, "ok"],
  ])("by one %s", async (_, limits, result) => {
    expect(await judgeKey(limits)).toBe(result);
  });
});

describe("a signature by an identity", () => {
  test.each(["v1", "intoto"] as const)("over a statement, in the log as %s, counts from the time that the log signed", async (kind) => {
    const bundle = await dsseBundle(await corp.identitySigner(), statement(HEX), [corp.logged(kind)]);
    const verdict = verifyCandidate(bundled(bundle), workflowAuthority(), grounds(minutes(600), corp.trustRoot));
    expect(verdict).toMatchObject({ ok: true, signer: { type: "identity", issuer: ISSUER, subject: WORKFLOW }, at: clock.toISOString() });
  });

  test("over a statement, in the second version of the log, counts with a timestamp", async () => {
    const bundle = await dsseBundle(await corp.identitySigner(), statement(HEX), [corp.logged("v2"), corp.timestamped()]);
    expect(judge(bundled(bundle), workflowAuthority(), grounds(minutes(600), corp.trustRoot))).toBe("ok");
  });

  test.each(["v1", "v2"] as const)("over the manifest, in the log as %s, counts", async (kind) => {
    const bundle = await messageBundle(await corp.identitySigner(), MODEL.bytes, [corp.logged(kind), corp.timestamped()]);
    expect(judge(bundled(bundle), workflowAuthority(), grounds(clock, corp.trustRoot))).toBe("ok");
  });

  test.each<[string, Buffer[], string]>([
    ["the workflow", identity(), "ok"],
    [
      "another subject",
      identity({ san: [x509.uri("https://git.corp.example/ml/demo/.ci/other.yml@refs/heads/main")] }),
      "identity-mismatch",
    ],
    ["a subject that holds the right one", identity({ san: [x509.uri(`https://evil.example/${WORKFLOW}`)] }), "identity-mismatch"],
    ["another issuer", identity({ issuer: "https://issuer.evil.example" }), "identity-mismatch"],
  ])("of %s", async (_, extensions, result) => {
    expect(judge(bundled(await certified({ extensions })), workflowAuthority(), grounds(clock, corp.trustRoot))).toBe(result);
  });

  test("of another authority does not count", async () => {
    const stranger = await SigstoreInstance.start({ clock });
    expect(judge(bundled(await certified()), workflowAuthority({ tlog: "ignore" }), grounds(clock, stranger.trustRoot))).toBe(
      "timestamp-missing",
    );
    const bundle = await dsseBundle(await stranger.identitySigner(), statement(HEX), [corp.logged()]);
    expect(judge(bundled(bundle), workflowAuthority(), grounds(clock, corp.trustRoot))).toBe("certificate-untrusted");
  });

  test("whose certificate has ended meanwhile counts, when a timestamp says that it had not", async () => {
    const bundle = await dsseBundle(await corp.identitySigner(), statement(HEX), [corp.timestamped()]);
    expect(judge(bundled(bundle), workflowAuthority({ tlog: "ignore" }), grounds(minutes(600), corp.trustRoot))).toBe("ok");
  });

  test("that was timestamped after the end of its certificate does not", async () => {
    const bundle = await dsseBundle(await late.identitySigner(), statement(HEX), [late.timestamped()]);
    expect(judge(bundled(bundle), workflowAuthority({ tlog: "ignore" }), grounds(clock, late.trustRoot))).toBe("certificate-expired");
  });

  test.each<[string, (copy: BundleJson) => void, string]>([
    [
      "body of the log entry",
      ({ verificationMaterial: { tlogEntries } }) =>
        (tlogEntries[0] = { ...tlogEntries[0], canonicalizedBody: base64('{"kind":"dsse","apiVersion":"0.0.1"}') } as never),
      "log-promise-invalid",
    ],
    [
      "time of the log entry",
      ({ verificationMaterial: { tlogEntries } }) =>
        (tlogEntries[0] = { ...tlogEntries[0], integratedTime: String(clock.getTime() / 1_000 + 1) } as never),
      "log-promise-invalid",
    ],
    [
      "promise of the log",
      ({ verificationMaterial: { tlogEntries } }) =>
        (tlogEntries[0] = { ...tlogEntries[0], inclusionPromise: { signedEntryTimestamp: base64("junk") } } as never),
      "log-promise-invalid",
    ],
    [
      "payload",
      (copy) => (copy.dsseEnvelope.payload = base64(JSON.stringify(statement(HEX, "https://other.example/x")))),
      "signature-invalid",
    ],
  ])("of which the %s was changed does not", async (_, change, code) => {
    expect(judge(bundled(changed(await certified(), change)), workflowAuthority(), grounds(clock, corp.trustRoot))).toBe(code);
  });

  test("without any time does not", async () => {
    const bundle = await dsseBundle(await corp.identitySigner(), statement(HEX));
    expect(judge(bundled(bundle), workflowAuthority({ tlog: "ignore" }), grounds(clock, corp.trustRoot))).toBe("timestamp-missing");
  });

  test("whose log entry has a time that the log did not promise does not", async () => {
    const bundle = changed(await certified(), ({ verificationMaterial: { tlogEntries } }) => delete tlogEntries[0]?.inclusionPromise);
    expect(judge(bundled(bundle), workflowAuthority(), grounds(clock, corp.trustRoot))).toBe("timestamp-missing");
  });

  test("that is in no log does not count where one is asked for", async () => {
    const bundle = await dsseBundle(await corp.identitySigner(), statement(HEX), [corp.timestamped()]);
    expect(judge(bundled(bundle), workflowAuthority(), grounds(clock, corp.trustRoot))).toBe("log-entry-missing");
  });

  test("whose certificate is in no certificate log does not, unless none is asked for", async () => {
    const bundle = bundled(await certified({ isLogged: false }));
    expect(judge(bundle, workflowAuthority(), grounds(clock, corp.trustRoot))).toBe("ct-missing");
    expect(judge(bundle, workflowAuthority({ ctlog: 0 }), grounds(clock, corp.trustRoot))).toBe("ok");
  });

  test("whose certificate was logged by a stranger does not", async () => {
    const stranger = await SigstoreInstance.start({ clock });
    const root = { ...corp.document, ctlogs: stranger.document.ctlogs };
    const trustRoot = parseTrustRoot(Buffer.from(JSON.stringify(root)));
    expect(judge(bundled(await certified()), workflowAuthority(), grounds(clock, trustRoot))).toBe("ct-invalid");
  });

  test("counts for no authority of keys, and a key's signature for none of identities", async () => {
    expect(judge(bundled(await certified()), authority, grounds(clock, corp.trustRoot))).toBe("other-signer-type");
    expect(judge(bundled(await dsseBundle(key, statement(HEX))), workflowAuthority(), grounds(clock, corp.trustRoot))).toBe(
      "other-signer-type",
    );
  });

  test("counts for no authority whose trust root is not there", async () => {
    expect(judge(bundled(await certified()), workflowAuthority({ trustRoot: "elsewhere" }), grounds(clock, corp.trustRoot))).toBe(
      "trust-root-missing",
    );
  });
});

test("a payload of another type than in-toto's is not read", async () => {
  const bundle = await dsseBundle(key, statement(HEX), [], "application/json");
  expect(judge(bundled(bundle), authority, grounds(clock))).toBe("payload-type");
});
