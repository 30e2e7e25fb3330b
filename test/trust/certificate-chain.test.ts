import { describe, expect, test } from "vitest";
import { followChain } from "../../src/trust/certificate-chain.ts";
import { hasAttributes, nameText } from "../../src/trust/distinguished-name.ts";
import { Refusal } from "../../src/trust/reason.ts";
import * as x509 from "./certificates.ts";

const validity = { notBefore: new Date("2026-01-01T00:00:00Z"), notAfter: new Date("2030-01-01T00:00:00Z") };
const named = (name: string, form: Partial<x509.CertificateForm> = {}): x509.CertificateForm => ({
  ...validity,
  subject: [[x509.CN, name]],
  ...form,
});
const authority = (name: string, issuer?: x509.Issued, extensions: readonly Buffer[] = x509.AUTHORITY): x509.Issued =>
  x509.issue(named(name, { extensions }), issuer);
const signer = (issuer?: x509.Issued, form: Partial<x509.CertificateForm> = {}): x509.Issued =>
  x509.issue(named("signer", { extensions: x509.SIGNER, ...form }), issuer);

/** `ok`, or why the chain leads nowhere. */
function outcome(chain: readonly x509.Issued[], roots: readonly x509.Issued[]): string {
  try {
    followChain(
      chain.map(({ der }) => der),
      roots.map(({ pem }) => pem),
    );
    return "ok";
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}

const root = authority("root");
const between = authority("between", root);
const leaf = signer(between);
const stranger = authority("root");

describe("a chain", () => {
  test.each<[string, readonly x509.Issued[], readonly x509.Issued[], string]>([
    ["to a pinned certificate that it holds", [leaf, between, root], [root], "ok"],
    ["to a pinned certificate that it leaves out", [leaf, between], [root], "ok"],
    ["to one of several", [leaf, between], [stranger, root], "ok"],
    ["to a pinned one before its end", [leaf, between, root], [between], "ok"],
    ["that is itself pinned", [leaf], [leaf], "ok"],
    ["to somebody of the same name", [leaf, between, root], [stranger], "certificate-untrusted"],
    ["to nobody", [leaf, between], [], "certificate-untrusted"],
    ["with a gap", [leaf, root], [root], "certificate-untrusted"],
    ["out of order", [leaf, root, between], [root], "certificate-untrusted"],
    ["of nothing", [], [root], "malformed-certificate"],
    ["of nine", Array.from({ length: 9 }, () => leaf), [root], "malformed-certificate"],
    ["that begins with an authority", [between, root], [root], "leaf-is-ca"],
  ])("%s", (_, chain, roots, result) => {
    expect(outcome(chain, roots)).toBe(result);
  });

  test("with bytes that are no certificate", () => {
    expect(() => followChain([Buffer.from("x")], [root.pem])).toThrow(new Refusal("malformed-certificate"));
    expect(() => followChain([leaf.der, Buffer.from("x")], [root.pem])).toThrow(new Refusal("malformed-certificate"));
  });

  test("was valid when all of it was", () => {
    const short = x509.issue(named("short", { extensions: x509.AUTHORITY, notAfter: new Date("2027-01-01T00:00:00Z") }), root);
    const { isValidAt } = followChain([signer(short).der, short.der], [root.pem]);
    expect(["2025-12-31", "2026-06-01", "2027-06-01", "2030-06-01"].map((day) => isValidAt(new Date(day)))).toEqual([
      false,
      true,
      false,
      false,
    ]);
  });
});

const below = (extensions: readonly Buffer[]): string => {
  const middle = authority("middle", root, extensions);
  return outcome([signer(middle), middle], [root]);
};

const withLimit = (limit: number): string => {
  const top = authority("top", undefined, [x509.basicConstraints(true, limit), x509.keyUsage(0x04)]);
  const first = authority("first", top);
  const second = authority("second", first);
  return outcome([signer(second), second, first], [top]);
};

describe("an authority in a chain", () => {
  test.each<[string, readonly Buffer[], string]>([
    ["as it should be", x509.AUTHORITY, "ok"],
    ["that says nothing of what its key may do", [x509.basicConstraints(true)], "ok"],
    ["that is none", [x509.basicConstraints(false), x509.keyUsage(0x04)], "certificate-untrusted"],
    ["that does not say that it is one", [x509.keyUsage(0x04)], "certificate-untrusted"],
    ["that may not sign certificates", [x509.basicConstraints(true), x509.keyUsage(0x80)], "certificate-untrusted"],
    ["for signers only", [x509.basicConstraints(true, 0), x509.keyUsage(0x04)], "ok"],
    [
      "for some names, which is not understood here",
      [...x509.AUTHORITY, x509.extension("2.5.29.30", x509.sequence(), true)],
      "certificate-untrusted",
    ],
  ])("%s", (_, extensions, result) => {
    expect(below(extensions)).toBe(result);
  });

  test("has no more authorities below it than it may", () => {
    expect(withLimit(2)).toBe("ok");
    expect(withLimit(1)).toBe("certificate-untrusted");
  });

  test("with a weak key is none", () => {
    const weak = x509.issue(named("weak", { extensions: x509.AUTHORITY, rsaBits: 1_024 }), root);
    expect(outcome([signer(weak), weak], [root])).toBe("certificate-untrusted");
  });
});

describe("the certificate of a signer", () => {
  test.each<[string, Partial<x509.CertificateForm>, string]>([
    ["for code signing", {}, "ok"],
    ["for nothing that it says", { extensions: [x509.keyUsage(0x80)] }, "ok"],
    ["for TLS servers", { extensions: [x509.keyUsage(0x80), x509.purposes(x509.PURPOSES.serverAuth)] }, "leaf-key-usage"],
    ["for agreeing on keys", { extensions: [x509.keyUsage(0x08)] }, "leaf-key-usage"],
    ["that may sign certificates", { extensions: [x509.keyUsage(0x84), x509.purposes(x509.PURPOSES.codeSigning)] }, "leaf-is-ca"],
    ["that is an authority and says no more", { extensions: [x509.basicConstraints(true)] }, "leaf-is-ca"],
    // What the reference implementation of model signing makes for its tests.
    ["that is an authority that may not sign certificates", { extensions: [x509.basicConstraints(true), ...x509.SIGNER] }, "ok"],
    ["with a key of 1024 bits", { rsaBits: 1_024 }, "unsupported-key"],
    ["with a key of 2048 bits", { rsaBits: 2_048 }, "ok"],
    [
      "with an extension that must be understood and is not",
      { extensions: [...x509.SIGNER, x509.extension("1.2.3.4", x509.utf8("?"), true)] },
      "unknown-critical-attribute",
    ],
  ])("%s", (_, form, result) => {
    expect(outcome([signer(between, form), between], [root])).toBe(result);
  });
});

const nameOf = (subject: readonly (readonly [string, string])[]): ReturnType<typeof followChain>["subject"] =>
  followChain([signer(between, { subject }).der, between.der], [root.pem]).subject;

describe("the name of a signer", () => {
  test("is that of the certificate, with what has a meaning escaped", () => {
    expect(
      nameText(
        nameOf([
          [x509.O, "Corp, Inc"],
          [x509.CN, 'a="b"+c'],
          ["1.2.3.4", "x"],
        ]),
      ),
    ).toBe(String.raw`O=Corp\, Inc,CN=a\=\"b\"\+c,1.2.3.4=x`);
    expect(nameText(nameOf([]))).toBe("");
  });

  test.each<[Record<string, string>, boolean]>([
    [{ CN: "release" }, true],
    [{ CN: "release", O: "Corp" }, true],
    [{ CN: "release", O: "Other" }, false],
    [{ CN: "releas" }, false],
    [{ CN: "Release" }, false],
    [{ OU: "a" }, false],
    [{ C: "DE" }, false],
    [{ "2.5.4.3": "release" }, false],
    [{ constructor: "x" }, false],
  ])("has %j: %j, each exactly once", (wanted, has) => {
    const name = nameOf([
      [x509.CN, "release"],
      [x509.O, "Corp"],
      ["2.5.4.11", "a"],
      ["2.5.4.11", "b"],
    ]);
    expect(hasAttributes(name, wanted)).toBe(has);
  });
});
