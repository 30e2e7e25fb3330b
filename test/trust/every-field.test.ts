import { BUNDLE_V01_MEDIA_TYPE, BUNDLE_V02_MEDIA_TYPE, BUNDLE_V03_LEGACY_MEDIA_TYPE, BUNDLE_V03_MEDIA_TYPE } from "@sigstore/bundle";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { NEUTRAL } from "./neutral-fields.ts";
import { type Fields, type Path, changesIn, fieldsOf, layerWith, placesIn, replacedAt, valueAt } from "./sample-fields.ts";
import { SAMPLE_NAMES, type Sample, sampleNamed, samples, verdictOn } from "./samples.ts";

// Good evidence with one field changed counts for nothing, unless nothing follows from that field.

vi.setConfig({ testTimeout: 300_000 });

let all: ReadonlyMap<string, Sample>;
beforeAll(async () => {
  all = await samples();
});

const VERSIONS = [BUNDLE_V01_MEDIA_TYPE, BUNDLE_V02_MEDIA_TYPE, BUNDLE_V03_LEGACY_MEDIA_TYPE, BUNDLE_V03_MEDIA_TYPE];

const listsLike = (list: readonly unknown[]): unknown[][] => [[...list, list[0]], list.slice(1), list.toReversed()];

/** What may come in the place of a value. */
function* replacementsOf(value: unknown): Generator {
  yield* [undefined, null, "", 0, [], {}, "AAAA", "1", true, [value], { value }];
  if (Array.isArray(value)) yield* listsLike(value);
  if (typeof value !== "string" || value === "") return;
  for (const at of [0, Math.floor(value.length / 2), value.length - 1]) {
    yield value.slice(0, at) + (value[at] === "0" ? "1" : "0") + value.slice(at + 1);
    yield value.slice(0, at) + value.slice(at + 1);
  }
  yield value + value;
  if (VERSIONS.includes(value)) yield* VERSIONS;
}

/** What became of evidence with one field changed: what changed and whether it says the same, or that it broke in a way that no code foresees. */
type Outcome = "malformed" | { readonly changes: readonly string[]; readonly saysTheSame: boolean };

/** The outcomes of all changes at a place, without those by which the evidence counts for nothing, as it should. */
function* outcomesAt(sample: Sample, fields: Fields, path: Path): Generator<Outcome> {
  for (const replacement of replacementsOf(valueAt(fields, path))) {
    const layer = layerWith(replacedAt(fields, path, replacement) as Fields, sample.layer);
    const verdict = verdictOn(layer, sample);
    if (verdict?.ok === false && verdict.code === "malformed") yield "malformed";
    if (verdict?.ok !== true) continue;
    yield { changes: changesIn(fields, fieldsOf(layer)), saysTheSame: JSON.stringify(verdict) === JSON.stringify(sample.verified) };
  }
}

const isNeutral =
  (name: string) =>
  (field: string): boolean =>
    NEUTRAL.some((rule) => rule.of.test(name) && rule.field.test(field));
/** Places below `annotations` or the envelope: what is above is no field. */
const fieldPlaces = (fields: Fields): readonly Path[] => placesIn(fields).filter((path) => path.length > 1);

describe.each(SAMPLE_NAMES)("%s", (name) => {
  test("with any field replaced or taken away counts for nothing, unless the field says nothing", () => {
    const sample = sampleNamed(all, name);
    const fields = fieldsOf(sample.layer);
    const wrong: unknown[] = [];
    for (const path of fieldPlaces(fields)) {
      for (const outcome of outcomesAt(sample, fields, path)) {
        if (outcome === "malformed" || !outcome.saysTheSame || !outcome.changes.every(isNeutral(name))) wrong.push([path, outcome]);
      }
    }
    expect(wrong).toEqual([]);
  });

  test("with any member twice is no evidence at all", () => {
    const { layer } = sampleNamed(all, name);
    const fields = fieldsOf(layer);
    const members = layer.bytes[0] === 0xd2 ? [] : fieldPlaces(fields).filter((path) => typeof path.at(-1) === "string");
    const read = members
      .filter((path) => !isAnnotation(path))
      .filter((path) => verdictOn(layerWith(twice(fields, path), layer, writeTwice), sampleNamed(all, name)));
    expect(read).toEqual([]);
  });
});

test.each(NEUTRAL.map(({ field, of, why }) => [String(field), { field, of, why }] as const))(
  "%s may be anything, as one kind at least shows",
  (_, rule) => {
    const shown = SAMPLE_NAMES.filter((name) => {
      const sample = sampleNamed(all, name);
      const fields = fieldsOf(sample.layer);
      const places = rule.of.test(name) ? fieldPlaces(fields).filter((path) => rule.field.test(path.join("/"))) : [];
      const outcomes = places.flatMap((path) => [...outcomesAt(sample, fields, path)]);
      return outcomes.some((outcome) => outcome !== "malformed" && outcome.changes.some((field) => rule.field.test(field)));
    });
    expect(shown).not.toEqual([]);
  },
);

/** Annotations themselves are members of the manifest, which no push lets in twice. */
const isAnnotation = (path: Path): boolean => path[0] === "annotations" && path.length === 2;

const TWICE = "\u0000twice";
function twice(fields: Fields, path: Path): Fields {
  const above = valueAt(fields, path.slice(0, -1)) as object;
  return replacedAt(fields, path.slice(0, -1), { ...above, [`${TWICE}${String(path.at(-1))}`]: valueAt(fields, path) }) as Fields;
}
/** JSON in which the member so marked comes a second time under its own name. */
function writeTwice(value: unknown): string {
  return JSON.stringify(value).replaceAll(JSON.stringify(TWICE).slice(1, -1), "");
}
