import * as fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { OCI_IMAGE } from "../../src/oci/media-types.ts";
import { type Authority, authoritySchema } from "../../src/trust/authority.ts";
import { candidatesOf } from "../../src/trust/candidate.ts";
import { CborError, type CborValue, readCbor } from "../../src/trust/cbor.ts";
import { verifyCandidate } from "../../src/trust/verify.ts";
import { errorOf } from "../support/error-of.ts";
import * as x509 from "./certificates.ts";
import { OTHER_HEX, SUBJECT, candidateIn, grounds, judge, keyAuthority, manifestWith, skippedIn } from "./evidence.ts";
import {
  ENVELOPES,
  EXPIRY,
  type Item,
  NOTARY_ROOT,
  type NotationWish,
  SCHEME,
  TARGET,
  VALIDITY,
  cbor,
  holder,
  holderOf,
  tokenIn,
} from "./notation-envelopes.ts";
import { SigstoreInstance, keySigner, wholeSecond } from "./sigstore-instance.ts";

const clock = wholeSecond();
const authority: Authority = authoritySchema.parse({
  type: "x509",
  name: "notary",
  roots: [NOTARY_ROOT.pem],
  identities: [{ subject: { O: "Corp" } }],
  trustRoot: "corp",
});
let corp: SigstoreInstance;
beforeAll(async () => {
  corp = await SigstoreInstance.start({ clock });
});

describe.each(ENVELOPES)("Notation in %s", (_, mediaType, make) => {
  const outcome = async (wish: NotationWish = {}, by = authority, on = grounds(clock)): Promise<string> =>
    judge(candidateIn({ bytes: await make(wish), mediaType }), by, on);

  test("counts as a signature by the holder of a certificate", async () => {
    const { candidates } = candidatesOf(manifestWith([{ bytes: await make(), mediaType: "application/octet-stream" }]));
    const [candidate] = candidates;
    expect(candidate).toMatchObject({ format: "notation" });
    const verdict = candidate === undefined ? undefined : verifyCandidate(candidate, authority, grounds(clock));
    expect(verdict).toMatchObject({
      ok: true,
      kind: "signature",
      predicateType: null,
      signer: { type: "certificate", subject: "CN=release,O=Corp" },
      at: null,
    });
  });

  test.each<[string, Partial<x509.CertificateForm>]>([
    ["ES256", { curve: "P-256" }],
    ["ES384", { curve: "P-384" }],
    ["ES512", { curve: "P-521" }],
    ["PS256", { rsaBits: 2_048 }],
    ["PS384", { rsaBits: 3_072 }],
  ])("by %s goes with one kind of key", async (algorithm, form) => {
    const by = holderOf(form);
    expect(await outcome({ by, algorithm })).toBe("ok");
    const other = { ES256: "ES384", ES384: "ES256", ES512: "ES256", PS256: "PS512", PS384: "PS256" }[algorithm] ?? "";
    expect(await outcome({ by, algorithm: other })).toBe("signature-invalid");
  });

  test.each<[string, object, string]>([
    ["another digest", { ...TARGET, digest: `sha256:${OTHER_HEX}` }, "subject-mismatch"],
    ["another size", { ...TARGET, size: TARGET.size + 1 }, "subject-mismatch"],
    ["another type", { ...TARGET, mediaType: "application/vnd.oci.image.index.v1+json" }, "subject-mismatch"],
    ["its SHA-512", { ...TARGET, digest: `sha512:${SUBJECT.digests.sha512}` }, "ok"],
    ["annotations of the signer", { ...TARGET, annotations: { build: "7" } }, "ok"],
    ["no digest", { mediaType: OCI_IMAGE, size: 1 }, "malformed-payload"],
  ])("about an artifact with %s", async (__, target, result) => {
    expect(await outcome({ target })).toBe(result);
  });

  test.each<[string, NotationWish, string]>([
    ["an end that has not come", { attributes: { [EXPIRY]: "2099-01-01T00:00:00Z" }, critical: [SCHEME, EXPIRY] }, "ok"],
    ["an end that has come", { attributes: { [EXPIRY]: "2021-01-01T00:00:00Z" }, critical: [SCHEME, EXPIRY] }, "signature-expired"],
    ["an end that other readers may overlook", { attributes: { [EXPIRY]: "2099-01-01T00:00:00Z" } }, "malformed-notation"],
    ["a critical end that is not there", { critical: [SCHEME, EXPIRY] }, "malformed-notation"],
    [
      "a plug-in that must look at it",
      { attributes: { "io.cncf.notary.verificationPlugin": "x" }, critical: [SCHEME, "io.cncf.notary.verificationPlugin"] },
      "unknown-critical-attribute",
    ],
    ["an attribute that need not be understood", { attributes: { "org.example.note": "x" } }, "ok"],
    ["a scheme in which the signer tells the time", { attributes: { [SCHEME]: "notary.x509.signingAuthority" } }, "unsupported-format"],
    ["a payload of another type", { attributes: { cty: "application/json" } }, "payload-type"],
    ["a chain to somebody else", { chain: [holder, x509.issue({ ...VALIDITY, extensions: x509.AUTHORITY })] }, "certificate-untrusted"],
    ["the chain of another signer", { chain: [holderOf(), NOTARY_ROOT] }, "signature-invalid"],
  ])("with %s", async (__, wish, result) => {
    expect(await outcome(wish)).toBe(result);
  });

  test("by another identity below the same root does not count", async () => {
    const other = holderOf({
      subject: [
        [x509.CN, "release"],
        [x509.O, "Other"],
      ],
    });
    expect(await outcome({ by: other })).toBe("identity-mismatch");
  });

  test("counts only while the certificate is valid, unless a timestamp says that it was", async () => {
    const by = holderOf({ notAfter: new Date(clock.getTime() + 60_000) });
    const later = grounds(new Date(clock.getTime() + 3_600_000), corp.trustRoot);
    const timestamp = async (signature: Buffer): Promise<Buffer> => tokenIn(await corp.timestamp(signature));
    expect(await outcome({ by, timestamp })).toBe("ok");
    expect(await outcome({ by, timestamp }, authority, later)).toBe("certificate-expired");
    const timed = authoritySchema.parse({ ...authority, timestamps: 1 });
    expect(await outcome({ by, timestamp }, timed, later)).toBe("ok");
    expect(await outcome({ by }, timed, later)).toBe("timestamp-missing");
    expect(await outcome({ by, timestamp: async () => Buffer.alloc(200, 7) }, timed, later)).toBe("timestamp-malformed");
    expect(await outcome({ by, timestamp: async () => tokenIn(await corp.timestamp(Buffer.from("other"))) }, timed, later)).toBe(
      "timestamp-invalid",
    );
    const ended = holderOf({ notAfter: new Date(clock.getTime() - 60_000) });
    expect(await outcome({ by: ended, timestamp }, timed, later)).toBe("certificate-expired");
  });

  test("counts for no authority of keys", async () => {
    expect(await outcome({}, keyAuthority([keySigner().pem]))).toBe("unsupported-format");
  });

  test("changed in any byte counts for nothing, or says the same", async () => {
    const bytes = await make();
    const before = verifyCandidate(candidateIn({ bytes, mediaType }), authority, grounds(clock));
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const { candidates } = candidatesOf(manifestWith([{ bytes: Buffer.from(bytes.with(at, (bytes[at] ?? 0) ^ change)), mediaType }]));
        for (const candidate of candidates) {
          const verdict = verifyCandidate(candidate, authority, grounds(clock));
          expect([verdict.ok ? verdict : verdict.code]).not.toEqual(["malformed"]);
          expect(verdict.ok ? verdict : before).toEqual(before);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("a CBOR signature", () => {
  test.each<[string, Item]>([
    ["with three parts", [Buffer.from([0xa0]), new Map(), Buffer.alloc(0)]],
    ["with five parts", [Buffer.from([0xa0]), new Map(), Buffer.alloc(0), Buffer.alloc(0), 1]],
    ["with a map for a header", [new Map(), new Map(), Buffer.alloc(0), Buffer.alloc(0)]],
    ["with a header that is no map", [cbor([]), new Map(), Buffer.alloc(0), Buffer.alloc(0)]],
    ["with an algorithm that is not known", [cbor(new Map([[1, -8]])), new Map(), Buffer.alloc(0), Buffer.alloc(0)]],
    [
      "without certificates",
      [
        cbor(
          new Map<number, Item>([
            [1, -7],
            [2, ["x"]],
          ]),
        ),
        new Map(),
        Buffer.alloc(0),
        Buffer.alloc(0),
      ],
    ],
    ["without critical attributes", [cbor(new Map([[1, -7]])), new Map([[33, Buffer.from("x")]]), Buffer.alloc(0), Buffer.alloc(0)]],
    [
      "with an attribute that is a number",
      [
        cbor(
          new Map<number | string, Item>([
            [1, -7],
            [2, ["x"]],
            ["y", 7],
          ]),
        ),
        new Map([[33, Buffer.from("x")]]),
        Buffer.alloc(0),
        Buffer.alloc(0),
      ],
    ],
  ])("%s is skipped", (_, value) => {
    expect(skippedIn({ bytes: cbor({ tag: 18, value }) })).toMatch(/^malformed-notation$|^unsupported-key$/);
  });
});

describe("readCbor()", () => {
  test.each<[string, CborValue]>([
    ["00", 0],
    ["1818", 24],
    ["1903e8", 1_000],
    ["1a000f4240", 1_000_000],
    ["1b000000e8d4a51000", 1_000_000_000_000],
    ["20", -1],
    ["3903e7", -1_000],
    ["f4", false],
    ["f5", true],
    ["f6", null],
    ["6449455446", "IETF"],
    ["62c3bc", "ü"],
    ["4401020304", Buffer.from([1, 2, 3, 4])],
    ["83010203", [1, 2, 3]],
    [
      "a201020304",
      new Map([
        [1, 2],
        [3, 4],
      ]),
    ],
    ["c11a514b67b0", { tag: 1, value: 1_363_896_240 }],
  ])("reads the example %s of RFC 8949", (hex, value) => {
    expect(readCbor(Buffer.from(hex, "hex"))).toEqual(value);
  });

  test.each<[string, string]>([
    ["nothing", ""],
    ["a text that is cut off", "6449"],
    ["a length that is cut off", "19"],
    ["bytes behind the item", "0000"],
    ["a number over 2^53", "1bffffffffffffffff"],
    ["a float", "fb3ff199999999999a"],
    ["undefined", "f7"],
    ["an indefinite length", "9f01ff"],
    ["a reserved length", "1c"],
    ["a key twice", "a201020104"],
    ["a key that is a list", "a18001"],
    ["a text that is not UTF-8", "61ff"],
    ["a list longer than the bytes", "9affffffff00"],
    ["nesting of nine", "818181818181818181".concat("00")],
    ["1025 items", `990401${"00".repeat(1_025)}`],
  ])("refuses %s", (_, hex) => {
    expect(() => readCbor(Buffer.from(hex, "hex"))).toThrow(CborError);
  });

  test("throws nothing else for any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(errorOf(() => readCbor(Buffer.from(bytes)))).toSatisfy((error) => error === undefined || error instanceof CborError);
      }),
      { numRuns: 2_000 },
    );
  });
});
