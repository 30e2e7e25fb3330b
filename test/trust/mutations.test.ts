import * as fc from "fast-check";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { REASONS } from "../../src/trust/reason.ts";
import { candidatesOf } from "../../src/trust/candidate.ts";
import { runs } from "../support/runs.ts";
import { type Layer, manifestWith } from "./evidence.ts";
import { NEUTRAL } from "./neutral-fields.ts";
import { changesIn, fieldsOf, layerWith, placesIn, replacedAt, valueAt } from "./sample-fields.ts";
import { SAMPLE_NAMES, type Sample, sampleNamed, samples, verdictOn } from "./samples.ts";

// Evidence that was changed by chance; `GATE_RUNS` says how many times as often.

// Many runs take their time on a busy machine.
vi.setConfig({ testTimeout: 300_000 });

let all: ReadonlyMap<string, Sample>;
beforeAll(async () => {
  all = await samples();
});

/**
 * What is wrong with what is made of a layer in the place of a sample: nothing, when it counts for nothing by a reason that somebody foresaw,
 * or says the same and differs in what nothing follows from.
 */
function wrongWith(layer: Layer, name: string): readonly string[] {
  const sample = sampleNamed(all, name);
  const { skipped } = candidatesOf(manifestWith([layer]));
  const verdict = verdictOn(layer, sample);
  if (verdict?.ok !== true) {
    const code = verdict?.code ?? skipped[0]?.code;
    return code === undefined || code === "malformed" ? [`refused as ${code}`] : [];
  }
  const changes = changesIn(fieldsOf(sample.layer), fieldsOf(layer));
  const telling = changes.filter((field) => !NEUTRAL.some((rule) => rule.of.test(name) && rule.field.test(field)));
  return [...telling, ...(JSON.stringify(verdict) === JSON.stringify(sample.verified) ? [] : ["it says something else"])];
}

const change = fc.integer({ min: 1, max: 255 });
const flipped = (bytes: Buffer, at: number, by: number): Buffer => Buffer.from(bytes.with(at, (bytes[at] ?? 0) ^ by));

describe.each(SAMPLE_NAMES)("%s", (name) => {
  test("with any byte changed", () => {
    const { layer } = sampleNamed(all, name);
    fc.assert(
      fc.property(fc.nat(layer.bytes.length - 1), change, (at, by) => {
        expect(wrongWith({ ...layer, bytes: flipped(layer.bytes, at, by) }, name)).toEqual([]);
      }),
      { numRuns: runs(100) },
    );
  });

  test("with a byte changed in what a text encodes", () => {
    const { layer } = sampleNamed(all, name);
    const fields = fieldsOf(layer);
    const texts = placesIn(fields).filter((path) => typeof valueAt(fields, path) === "string" && path.length > 1);
    fc.assert(
      fc.property(fc.constantFrom(...texts), fc.nat(), change, (path, place, by) => {
        const [, head = "", body = ""] = /^(base64:)?(.*)$/s.exec(String(valueAt(fields, path))) ?? [];
        const isBase64 = /^[A-Za-z0-9+/]{8,}=*$/.test(body);
        const bytes = isBase64 ? Buffer.from(body, "base64") : Buffer.from(body);
        const other = bytes.length === 0 ? Buffer.from("x") : flipped(bytes, place % bytes.length, by);
        const text = head + (isBase64 ? other.toString("base64") : other.toString());
        expect(wrongWith(layerWith({ envelope: fields.envelope, ...(replacedAt(fields, path, text) as object) }, layer), name)).toEqual([]);
      }),
      { numRuns: runs(100) },
    );
  });

  test("with some of its bytes taken away, twice, or in the place of others", () => {
    const { layer } = sampleNamed(all, name);
    const { bytes } = layer;
    const place = fc.nat(bytes.length - 1);
    fc.assert(
      fc.property(place, fc.integer({ min: 1, max: 40 }), place, fc.constantFrom("away", "twice", "moved"), (from, length, to, what) => {
        const range = bytes.subarray(from, from + length);
        const rest = Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + length)]);
        const [base, at] = what === "twice" ? [bytes, from] : [rest, to % Math.max(1, rest.length)];
        const whole = what === "away" ? rest : Buffer.concat([base.subarray(0, at), range, base.subarray(at)]);
        if (whole.equals(bytes)) return;
        expect(wrongWith({ ...layer, bytes: whole }, name)).toEqual([]);
      }),
      { numRuns: runs(60) },
    );
  });

  test("with anything in the place of any field", () => {
    const { layer } = sampleNamed(all, name);
    const fields = fieldsOf(layer);
    const places = placesIn(fields).filter((path) => path.length > 1);
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom("AAAA", "0", "-1", "99999999999999999999", 2 ** 60, "__proto__", {}, []),
    );
    fc.assert(
      fc.property(fc.constantFrom(...places), value, (path, replacement) => {
        expect(
          wrongWith(layerWith({ envelope: fields.envelope, ...(replacedAt(fields, path, replacement) as object) }, layer), name),
        ).toEqual([]);
      }),
      { numRuns: runs(100) },
    );
  });

  test("cut off anywhere is no candidate", () => {
    const { layer } = sampleNamed(all, name);
    fc.assert(
      fc.property(fc.nat(layer.bytes.length - 1), (length) => {
        expect(candidatesOf(manifestWith([{ ...layer, bytes: layer.bytes.subarray(0, length) }])).candidates).toEqual([]);
      }),
      { numRuns: runs(30) },
    );
  });
});

test("an older attestation with any byte changed of the names in its timestamp counts for nothing by a reason that somebody foresaw", () => {
  const name = "an older attestation by an identity";
  const { layer } = sampleNamed(all, name);
  const fields = fieldsOf(layer);
  const path = ["annotations", "dev.sigstore.cosign/rfc3161timestamp", "SignedRFC3161Timestamp"];
  const [, head = "", body = ""] = /^(base64:)?(.*)$/s.exec(String(valueAt(fields, path))) ?? [];
  const bytes = Buffer.from(body, "base64");
  // They are read after all else of it.
  for (let at = 600; at < Math.min(700, bytes.length); at += 1) {
    const text = head + flipped(bytes, at, 32).toString("base64");
    expect(wrongWith(layerWith({ envelope: fields.envelope, ...(replacedAt(fields, path, text) as object) }, layer), name)).toEqual([]);
  }
});

test.each<[string, fc.Arbitrary<Buffer>]>([
  ["bytes", fc.uint8Array({ maxLength: 2_000 }).map((bytes) => Buffer.from(bytes))],
  ["bytes that begin like a CBOR signature", fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from([0xd2, 0x84, ...bytes]))],
  ["JSON", fc.jsonValue({ maxDepth: 4 }).map((value) => Buffer.from(JSON.stringify(value)))],
])("any %s at all are skipped, by a reason that somebody foresaw", (_, arbitrary) => {
  fc.assert(
    fc.property(arbitrary, (bytes) => {
      const { candidates, skipped } = candidatesOf(manifestWith([{ bytes }]));
      expect(candidates).toEqual([]);
      expect(Object.keys(REASONS).filter((code) => code !== "malformed")).toContain(skipped[0]?.code);
    }),
    { numRuns: runs(400) },
  );
});
