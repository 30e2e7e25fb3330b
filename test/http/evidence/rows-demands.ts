import { MODEL_SIGNING } from "../../../src/trust/oms.ts";
import { COSIGN_SIGN } from "../../../src/trust/signed-claim.ts";
import { HEX, type Layer, keyAuthority } from "../../trust/evidence.ts";
import { fileList, hash } from "../../trust/file-lists.ts";
import { signatureLayer } from "../../trust/legacy-layers.ts";
import { ENVELOPES } from "../../trust/notation-envelopes.ts";
import { dsseBundle, statement, wholeSecond } from "../../trust/sigstore-instance.ts";
import { KEY, bundleRow, byKey, dsse, keySigned, layerOf, message } from "./signed.ts";
import type { Demand, Row } from "./world.ts";

const SCAN = "https://example.org/modelscan/v1";
const authorities = [keyAuthority([KEY.pem])];
const scanned =
  (...where: readonly object[]) =>
  (): Demand => ({ authorities, evidence: { kind: "attestation", predicateType: SCAN, where } });
const scan = (predicate: unknown, type = SCAN): Promise<object> => dsseBundle(KEY, statement(HEX, type, predicate));

/** Nine hours before the registry's clock. */
const signedAt = wholeSecond().getTime();
const hours = (count: number): string => new Date(signedAt + count * 3_600_000).toISOString();

/** A condition, what does not meet it, and what does. */
type ConditionShort = readonly [what: string, condition: object, unmet: unknown, met: unknown];
const at = (path: string, op: string, value?: unknown): object => ({ path, op, ...(value !== undefined && { value }) });

const conditions: readonly ConditionShort[] = [
  ["another value", at("/result", "eq", "clean"), { result: "infected" }, { result: "clean" }],
  ["a value of another type", at("/count", "eq", 0), { count: "0" }, { count: 0 }],
  ["null for what must be there", at("/result", "eq", "clean"), { result: null }, { result: "clean" }],
  ["no predicate at all", at("/result", "eq", "clean"), null, { result: "clean" }],
  ["no such path", at("/a/b", "exists"), { a: {} }, { a: { b: false } }],
  ["a text on the way of the path", at("/a/0", "exists"), { a: "text" }, { a: ["x"] }],
  ["a place that is not in the list", at("/list/1", "exists"), { list: ["x"] }, { list: ["x", "y"] }],
  ["a place that is no number", at("/list/00", "exists"), { list: ["x"] }, { list: { "00": 1 } }],
  ["a list's length, which is no member", at("/list/length", "exists"), { list: ["x"] }, { list: { length: 1 } }],
  ["a member of every object's prototype", at("/constructor/name", "eq", "Object"), {}, { constructor: { name: "Object" } }],
  ["a method of every object", at("/toString", "exists"), {}, { toString: 1 }],
  ["the prototype itself", at("/__proto__", "exists"), {}, JSON.parse('{"__proto__":{}}')],
  ["an escaped path that is not there", at("/a~1b", "exists"), { a: { b: 1 } }, { "a/b": 1 }],
  ["none of the values", at("/level", "in", [3, 4]), { level: 2 }, { level: 3 }],
  ["another beginning", at("/tool", "prefix", "scan-"), { tool: "my-scan-1" }, { tool: "scan-1" }],
  ["no text where a beginning is asked for", at("/tool", "prefix", "1"), { tool: 12 }, { tool: "12" }],
  ["a list without it", at("/passed", "contains", "pickle"), { passed: ["picklescan"] }, { passed: ["pickle"] }],
  ["a text that holds it", at("/passed", "contains", "pickle"), { passed: "pickle" }, { passed: ["a", "pickle"] }],
  ["a time too long ago", at("/at", "maxAgeSeconds", 36_000), { at: hours(-2) }, { at: hours(1) }],
  ["a time to come", at("/at", "maxAgeSeconds", 36_000), { at: hours(11) }, { at: hours(9) }],
  ["a time without its zone", at("/at", "maxAgeSeconds", 36_000), { at: hours(1).replace("Z", "") }, { at: hours(1) }],
  ["a time in seconds", at("/at", "maxAgeSeconds", 36_000), { at: signedAt / 1_000 }, { at: hours(1) }],
];

/** The list of the usual artifact's one file. */
const OF_ARTIFACT = fileList({ resources: [{ name: "model.safetensors", digest: hash("weights"), algorithm: "sha256" }] });

const beside: readonly Row[] = [
  bundleRow(
    ["a statement of another predicate type", "other-predicate-type", () => scan({ result: "clean" }, "https://example.org/other/v1")],
    scanned(),
    async () => layerOf(await scan({})),
  ),
  bundleRow(["a signature where a statement is asked for", "other-kind", () => dsse(KEY)], scanned(), async () => layerOf(await scan({}))),
  bundleRow(["a signature over the manifest where a statement is asked for", "other-kind", () => message(KEY)], scanned(), async () =>
    layerOf(await scan({})),
  ),
  bundleRow(["a statement where a signature is asked for", "other-kind", () => scan({})], byKey(), keySigned),
  bundleRow(
    ["a list of other files where a signature is asked for", "file-missing", () => dsseBundle(KEY, fileList())],
    byKey(),
    keySigned,
  ),
  bundleRow(["a statement that names itself a list of files", "files-malformed", () => scan({}, MODEL_SIGNING)], byKey(), keySigned),
  bundleRow(["a list of files where a signature is asked for", "other-kind", () => dsseBundle(KEY, OF_ARTIFACT)], byKey(), keySigned),
  {
    what: "an older signature where bundles are asked for",
    code: "format-not-accepted",
    demand: byKey(),
    evidence: () => signatureLayer(KEY),
    good: keySigned,
  },
  {
    what: "a Notation signature where bundles are asked for",
    code: "format-not-accepted",
    demand: byKey(),
    evidence: async (): Promise<Layer> => ({ bytes: await ENVELOPES[0][2]() }),
    good: keySigned,
  },
  {
    what: "a bundle where older signatures are asked for",
    code: "format-not-accepted",
    demand: byKey({}, { evidence: { kind: "signature", formats: ["cosign-legacy"] } }),
    evidence: async () => layerOf(await dsseBundle(KEY, statement(HEX, COSIGN_SIGN))),
    good: () => signatureLayer(KEY),
  },
];

/** What requirements ask of evidence that verifies (trust.md §4). */
export const DEMAND_ROWS: readonly Row[] = [
  ...conditions.map(([what, condition, unmet, met]) =>
    bundleRow([`a statement with ${what}`, "condition-not-met", () => scan(unmet)], scanned(condition), async () =>
      layerOf(await scan(met)),
    ),
  ),
  ...beside,
];
