import * as fc from "fast-check";
import { beforeAll, describe, expect, test, vi } from "vitest";
import type { Authority } from "../../src/trust/authority.ts";
import { candidatesOf } from "../../src/trust/candidate.ts";
import type { TrustRoot } from "../../src/trust/trust-root.ts";
import type { Verdict, Verified } from "../../src/trust/verdict.ts";
import { verifyCandidate } from "../../src/trust/verify.ts";
import { BUNDLE_TYPE, HEX, MODEL, grounds, keyAuthority, manifestWith, workflowAuthority } from "./evidence.ts";
import { SigstoreInstance, dsseBundle, keySigner, messageBundle, statement, wholeSecond } from "./sigstore-instance.ts";

// Many runs take their time on a busy machine.
vi.setConfig({ testTimeout: 120_000 });

const clock = wholeSecond();
const key = keySigner();

/** Evidence that counts, and who for. */
interface Sample {
  readonly text: string;
  readonly authority: Authority;
  readonly root: TrustRoot;
}
const samples: Record<string, Sample> = {};
beforeAll(async () => {
  const corp = await SigstoreInstance.start({ clock });
  const root = corp.trustRoot;
  const sample = (bundle: object, authority: Authority): Sample => ({ text: JSON.stringify(bundle), authority, root });
  const full = [corp.logged("v1"), corp.timestamped()];
  const signer = await corp.identitySigner();
  samples["a statement by a key"] = sample(await dsseBundle(key, statement(HEX)), keyAuthority([key.pem]));
  samples["a statement by an identity"] = sample(await dsseBundle(signer, statement(HEX), full), workflowAuthority({ timestamps: 2 }));
  samples["a signature by an identity, in the second version of the log"] = sample(
    await messageBundle(signer, MODEL.bytes, [corp.logged("v2"), corp.timestamped()]),
    workflowAuthority(),
  );
});
const NAMES = ["a statement by a key", "a statement by an identity", "a signature by an identity, in the second version of the log"];

/** What is found in some bytes, each with its verdict. */
function verdictsOn(bytes: Buffer, { authority, root }: Sample): Verdict[] {
  const { candidates } = candidatesOf(manifestWith([{ bytes, mediaType: BUNDLE_TYPE }]));
  return candidates.map((candidate) => verifyCandidate(candidate, authority, grounds(clock, root)));
}

function sampleOf(name: string): Sample & { readonly verified: Verified } {
  const sample = samples[name];
  const [verdict] = sample === undefined ? [] : verdictsOn(Buffer.from(sample.text), sample);
  if (sample === undefined || verdict?.ok !== true) throw new Error(`${name} does not count`);
  return { ...sample, verified: verdict };
}

/** Holds when whatever counts among the verdicts says what was said before, and nothing was broken in a way that no code foresees. */
function expectTheSameOrRefused(verdicts: readonly Verdict[], { verified }: { readonly verified: Verified }): void {
  for (const verdict of verdicts) {
    expect(verdict.ok ? verdict : { ...verified, code: verdict.code }).not.toMatchObject({ code: "malformed" });
    const said = verdict.ok ? { signer: verdict.signer, signed: verdict.signed, predicate: verdict.predicate } : undefined;
    expect(said ?? verified).toMatchObject({ signer: verified.signer, signed: verified.signed, predicate: verified.predicate });
  }
}

describe.each(NAMES)("%s", (name) => {
  test("with any byte changed says the same or counts for nothing", () => {
    const sample = sampleOf(name);
    const bytes = Buffer.from(sample.text);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        expectTheSameOrRefused(verdictsOn(Buffer.from(bytes.with(at, (bytes[at] ?? 0) ^ change)), sample), sample);
      }),
      { numRuns: 150 },
    );
  });

  test("with a byte changed in what its texts encode says the same or counts for nothing", () => {
    const sample = sampleOf(name);
    const encoded = [...sample.text.matchAll(/"([A-Za-z0-9+/]{8,}=*)"/g)].map(([, base64 = ""]) => base64);
    fc.assert(
      fc.property(fc.constantFrom(...encoded), fc.nat(), fc.integer({ min: 1, max: 255 }), (base64, place, change) => {
        const bytes = Buffer.from(base64, "base64");
        const at = place % bytes.length;
        const other = Buffer.from(bytes.with(at, (bytes[at] ?? 0) ^ change)).toString("base64");
        expectTheSameOrRefused(verdictsOn(Buffer.from(sample.text.replaceAll(base64, other)), sample), sample);
      }),
      { numRuns: 150 },
    );
  });

  test("with any member replaced says the same or counts for nothing", () => {
    const sample = sampleOf(name);
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom("AAAA", "0", "-1", "99999999999999999999", 2 ** 60, "__proto__", {}, []),
    );
    fc.assert(
      fc.property(fc.nat(), value, (place, replacement) => {
        const copy: unknown = JSON.parse(sample.text);
        replaceMember(copy, place, replacement);
        expectTheSameOrRefused(verdictsOn(Buffer.from(JSON.stringify(copy)), sample), sample);
      }),
      { numRuns: 150 },
    );
  });

  test("cut off anywhere is no candidate", () => {
    const { text } = sampleOf(name);
    const bytes = Buffer.from(text);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), (length) => {
        expect(candidatesOf(manifestWith([{ bytes: bytes.subarray(0, length) }])).candidates).toEqual([]);
      }),
      { numRuns: 50 },
    );
  });
});

/** Replaces one of all members of a JSON value, whichever the place comes to. */
function replaceMember(root: unknown, place: number, replacement: unknown): void {
  const members: (readonly [object, string])[] = [];
  const walk = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    for (const name of Object.keys(value)) {
      members.push([value, name]);
      walk((value as Record<string, unknown>)[name]);
    }
  };
  walk(root);
  const [owner, name] = members[place % members.length] ?? [{}, ""];
  Object.defineProperty(owner, name, { value: replacement, enumerable: true, configurable: true, writable: true });
}

test("any JSON at all is skipped or counts for nothing", () => {
  const sample = sampleOf(NAMES[1] ?? "");
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      expect(verdictsOn(Buffer.from(JSON.stringify(value)), sample)).toEqual([]);
    }),
    { numRuns: 500 },
  );
});
