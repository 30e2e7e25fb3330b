import { beforeAll, describe, expect, test } from "vitest";
import type { Annotations } from "../../src/oci/descriptor.ts";
import { verifyCandidate } from "../../src/trust/verify.ts";
import {
  HEX,
  type Layer,
  OTHER_HEX,
  SUBJECT,
  candidateIn,
  grounds,
  judge,
  keyAuthority,
  skippedIn,
  workflowAuthority,
} from "./evidence.ts";
import {
  BUNDLE,
  CERTIFICATE,
  ENVELOPE,
  SIGNATURE,
  SIMPLE_SIGNING,
  TIMESTAMP,
  attestationLayer,
  claim,
  signatureLayer,
} from "./legacy-layers.ts";
import { SigstoreInstance, keySigner, statement, wholeSecond } from "./sigstore-instance.ts";

const clock = wholeSecond();
const key = keySigner();
const authority = keyAuthority([key.pem]);
const alone = grounds(clock);
let corp: SigstoreInstance;
beforeAll(async () => {
  corp = await SigstoreInstance.start({ clock });
});

const judgeLayer = (layer: Layer): string => judge(candidateIn(layer), authority, alone);

describe("a layer of cosign's older signatures", () => {
  test("by a key counts", async () => {
    const candidate = candidateIn(await signatureLayer(key));
    expect(candidate.format).toBe("cosign-legacy");
    expect(verifyCandidate(candidate, authority, alone)).toMatchObject({ ok: true, kind: "signature", predicateType: null });
  });

  test("by an identity counts from the time that the log promised", async () => {
    const layer = await signatureLayer(await corp.identitySigner(), claim(), [corp.logged()]);
    expect(verifyCandidate(candidateIn(layer), workflowAuthority(), grounds(clock, corp.trustRoot))).toMatchObject({
      ok: true,
      at: clock.toISOString(),
    });
  });

  test("by an identity with a timestamp counts without a log", async () => {
    const layer = await signatureLayer(await corp.identitySigner(), claim(), [corp.timestamped()]);
    expect(judge(candidateIn(layer), workflowAuthority({ tlog: "ignore" }), grounds(clock, corp.trustRoot))).toBe("ok");
  });

  test("by an identity whose log entry was taken away does not", async () => {
    const { annotations, ...layer } = await signatureLayer(await corp.identitySigner(), claim(), [corp.logged()]);
    const bare = { ...layer, annotations: { ...annotations, [BUNDLE]: "" } };
    expect(judge(candidateIn(bare), workflowAuthority(), grounds(clock, corp.trustRoot))).toBe("timestamp-missing");
  });

  test.each<[string, Buffer, string]>([
    ["about another artifact", claim(`sha256:${OTHER_HEX}`), "subject-mismatch"],
    ["about a digest of no algorithm", claim(HEX), "subject-mismatch"],
    ["about a digest with more behind it", claim(`sha256:${HEX}:x`), "subject-mismatch"],
    ["about the SHA-512 of the artifact", claim(`sha512:${SUBJECT.digests.sha512}`), "ok"],
    ["of another type", claim(undefined, "atomic container signature"), "legacy-claim"],
    ["without an image", Buffer.from('{"critical":{"type":"cosign container image signature"}}'), "legacy-claim"],
  ])("%s", async (_, payload, result) => {
    expect(judgeLayer(await signatureLayer(key, payload))).toBe(result);
  });

  test("over another claim does not count", async () => {
    const { annotations } = await signatureLayer(key);
    expect(judgeLayer({ bytes: claim(), annotations })).toBe("ok");
    expect(judgeLayer({ bytes: Buffer.from(claim().toString().replace("models/demo", "models/else")), annotations })).toBe(
      "signature-invalid",
    );
  });

  test("is found by what is in it, whatever its type", async () => {
    const layer = await signatureLayer(key);
    expect(judgeLayer({ ...layer, mediaType: "application/octet-stream" })).toBe("ok");
  });

  test.each<[string, Annotations, string]>([
    ["no signature", {}, "malformed-legacy-signature"],
    ["an empty signature", { [SIGNATURE]: "" }, "malformed-legacy-signature"],
    ["a certificate that is none", { [SIGNATURE]: "AAAA", [CERTIFICATE]: "-----BEGIN-----" }, "malformed-legacy-signature"],
    ["a log entry that is no JSON", { [SIGNATURE]: "AAAA", [BUNDLE]: "{" }, "malformed-legacy-signature"],
    [
      "a log entry without a body",
      { [SIGNATURE]: "AAAA", [BUNDLE]: '{"SignedEntryTimestamp":"AAAA","Payload":{}}' },
      "malformed-legacy-signature",
    ],
    [
      "a log entry whose body is none",
      {
        [SIGNATURE]: "AAAA",
        [BUNDLE]: '{"SignedEntryTimestamp":"AAAA","Payload":{"body":"AAAA","integratedTime":1,"logIndex":1,"logID":"00"}}',
      },
      "malformed-legacy-signature",
    ],
    [
      "a log that is named in another way than cosign names it",
      {
        [SIGNATURE]: "AAAA",
        [BUNDLE]: JSON.stringify({
          SignedEntryTimestamp: "AAAA",
          Payload: {
            body: Buffer.from('{"kind":"intoto","apiVersion":"0.0.2"}').toString("base64"),
            integratedTime: 1,
            logIndex: 1,
            logID: "AB",
          },
        }),
      },
      "malformed-legacy-signature",
    ],
    ["a timestamp that is none", { [SIGNATURE]: "AAAA", [TIMESTAMP]: "[]" }, "malformed-legacy-signature"],
  ])("with %s is skipped", (_, annotations, code) => {
    expect(skippedIn({ bytes: claim(), mediaType: SIMPLE_SIGNING, annotations })).toBe(code);
  });

  test("may have null for what there is not, as cosign writes it", async () => {
    const { annotations, ...layer } = await signatureLayer(key);
    expect(judgeLayer({ ...layer, annotations: { ...annotations, [BUNDLE]: "null", [TIMESTAMP]: "null", [CERTIFICATE]: "" } })).toBe("ok");
  });
});

describe("a layer of cosign's older attestations", () => {
  test("by a key counts, with its predicate", async () => {
    const candidate = candidateIn(await attestationLayer(key, statement(HEX, "https://example.org/scan/v1", { result: "clean" })));
    expect(candidate.format).toBe("cosign-legacy");
    expect(verifyCandidate(candidate, authority, alone)).toMatchObject({ ok: true, kind: "attestation", predicate: { result: "clean" } });
  });

  test.each(["v1", "intoto"] as const)("by an identity counts, in the log as %s", async (kind) => {
    const layer = await attestationLayer(await corp.identitySigner(), statement(HEX), [corp.logged(kind)]);
    expect(judge(candidateIn(layer), workflowAuthority(), grounds(clock, corp.trustRoot))).toBe("ok");
  });

  test("about another artifact does not", async () => {
    expect(judgeLayer(await attestationLayer(key, statement(OTHER_HEX)))).toBe("subject-mismatch");
  });

  test.each<[string, object]>([
    ["no signatures", { payloadType: "application/vnd.in-toto+json", payload: "e30=", signatures: [] }],
    ["two signatures", { payloadType: "application/vnd.in-toto+json", payload: "e30=", signatures: [{ sig: "AAAA" }, { sig: "AAAA" }] }],
    ["no payload", { payloadType: "application/vnd.in-toto+json", signatures: [{ sig: "AAAA" }] }],
    ["signatures that are none", { payloadType: "application/vnd.in-toto+json", payload: "e30=", signatures: 7 }],
  ])("with %s is skipped", (_, envelope) => {
    expect(skippedIn({ bytes: Buffer.from(JSON.stringify(envelope)), mediaType: ENVELOPE })).toBe("malformed-legacy-signature");
  });
});
