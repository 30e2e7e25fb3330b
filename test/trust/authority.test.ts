import { describe, expect, test } from "vitest";
import { authoritySchema } from "../../src/trust/authority.ts";
import { signerId } from "../../src/trust/verdict.ts";
import { verifyCandidate } from "../../src/trust/verify.ts";
import * as x509 from "./certificates.ts";
import { HEX, bundled, grounds, keyAuthority } from "./evidence.ts";
import { dsseBundle, keySigner, statement } from "./sigstore-instance.ts";

const key = keySigner();
const root = x509.issue({ notBefore: new Date(0), notAfter: new Date("2100-01-01T00:00:00Z"), extensions: x509.AUTHORITY });
const KEY = { type: "key", name: "team", keys: [{ id: "one", pem: key.pem }] };
const X509 = { type: "x509", name: "notary", roots: [root.pem], identities: [{ subject: { CN: "release" } }] };
const KEYLESS = {
  type: "keyless",
  name: "ci",
  trustRoot: "corp",
  identities: [{ issuer: { exact: "https://i" }, subject: { glob: "https://x/**" } }],
};

/** Where the schema finds fault. */
function faultOf(form: object): string | undefined {
  return authoritySchema.safeParse(form).error?.issues[0]?.path.join(".");
}

describe("an authority", () => {
  test.each<[string, object]>([
    ["of keys", KEY],
    ["of keys that logs and timestamps confirm", { ...KEY, trustRoot: "corp", tlog: 1, timestamps: 2 }],
    ["of identities", KEYLESS],
    ["of identities whose log entries do not matter", { ...KEYLESS, tlog: "ignore" }],
    ["of certificates", X509],
    ["of certificates that timestamps confirm", { ...X509, trustRoot: "corp", timestamps: 1 }],
  ])("%s is one", (_, form) => {
    expect(faultOf(form)).toBeUndefined();
  });

  test.each<[string, object, string]>([
    ["a field that is not known", { ...KEY, static: "pass" }, ""],
    ["a type that is not known", { ...KEY, type: "static" }, "type"],
    ["a name in upper case", { ...KEY, name: "Team" }, "name"],
    ["no keys", { ...KEY, keys: [] }, "keys"],
    ["17 keys", { ...KEY, keys: Array.from({ length: 17 }, () => KEY.keys[0]) }, "keys"],
    [
      "a key that is none",
      { ...KEY, keys: [{ id: "one", pem: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----" }] },
      "keys.0.pem",
    ],
    [
      "a time that is none",
      { ...KEY, trustRoot: "corp", timestamps: 1, keys: [{ ...KEY.keys[0], revokedAt: "yesterday" }] },
      "keys.0.revokedAt",
    ],
    ["log entries and no trust root", { ...KEY, tlog: 1 }, "trustRoot"],
    ["timestamps and no trust root", { ...KEY, timestamps: 1 }, "trustRoot"],
    ["no log entries, which would not say that they are ignored", { ...KEYLESS, tlog: 0 }, "tlog"],
    ["five log entries", { ...KEYLESS, tlog: 5 }, "tlog"],
    ["identities without a trust root", { ...KEYLESS, trustRoot: undefined }, "trustRoot"],
    [
      "an extension that is no object identifier",
      { ...KEYLESS, identities: [{ ...KEYLESS.identities[0], extensions: { repository: "x" } }] },
      "identities.0.extensions.repository",
    ],
    ["no roots", { ...X509, roots: [] }, "roots"],
    ["a key for a root", { ...X509, roots: [key.pem] }, "roots.0"],
    ["certificates of anybody", { ...X509, identities: [{ subject: {} }] }, "identities.0.subject"],
    ["timestamps of certificates and no trust root", { ...X509, timestamps: 1 }, "trustRoot"],
  ])("has not %s", (_, form, fault) => {
    expect(faultOf(form)).toBe(fault);
  });
});

const identity = (issuer: string, subject: string): string => signerId({ type: "identity", issuer, subject });

describe("a signer", () => {
  test("is a key, whatever the authorities that know it call it and themselves", async () => {
    const candidate = bundled(await dsseBundle(key, statement(HEX)));
    const idIn = (wish: object): unknown => {
      const verdict = verifyCandidate(candidate, keyAuthority([key.pem], wish), grounds(new Date()));
      return verdict.ok ? signerId(verdict.signer) : verdict.code;
    };
    const first = idIn({ name: "first" });
    expect(first).toMatch(/^key:sha256:[0-9a-f]{64}$/);
    expect(idIn({ name: "second", keys: [{ id: "other", pem: key.pem }] })).toBe(first);
    expect(
      idIn({
        keys: [
          { id: "stranger", pem: keySigner().pem },
          { id: "twice", pem: key.pem },
          { id: "again", pem: key.pem },
        ],
      }),
    ).toBe(first);
  });

  test("is an issuer with a subject, which no other pair can be taken for", () => {
    expect(identity("a", 'b","c')).not.toBe(identity('a","b', "c"));
    expect(identity("a", "b")).not.toBe(identity("a", "c"));
    expect(identity("a", "b")).toBe(identity("a", "b"));
  });
});
