import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalJson } from "../../src/oci/canonical-json.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { NO_SCAN_EVIDENCE, type ScanEvidence, scanChecks } from "../../src/policy/scan-evidence.ts";

const FINE: ScanEvidence = {
  scan_results: { modelscan: "pass", yara: "pass" },
  scanner_versions: { modelscan: "0.8.5", yara: "4.5" },
  policy_version: "2026-03",
  source_revision: "main",
};
const failing = (evidence: ScanEvidence): string[] =>
  scanChecks(evidence)
    .filter(({ status }) => status !== "pass")
    .map(({ id }) => id);
const message = (evidence: Partial<ScanEvidence>): string =>
  scanChecks({ ...FINE, ...evidence })
    .filter(({ status }) => status === "fail")
    .map((check) => check.message)
    .join("; ");
const usually = (text: string, otherwise: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(text) }, otherwise);
/** As JSON gives it: a member of its own, whatever the name. */
const of = (name: string, text: string): Record<string, string> => Object.fromEntries([[name, text]]);

describe("scanChecks()", () => {
  test.each<[string, Partial<ScanEvidence>, string[]]>([
    ["all that is asked for", {}, []],
    ["no source revision", { source_revision: "" }, []],
    ["no policy version", { policy_version: "" }, ["policy-version"]],
    ["no scanner at all", { scan_results: {}, scanner_versions: {} }, ["scan-results"]],
    ["no result", { scan_results: {} }, ["scan-results", "same-scanners"]],
    ["no version", { scanner_versions: {} }, ["same-scanners", "scanner-versions"]],
    ["a scanner without a version", { scanner_versions: { yara: "4.5" } }, ["same-scanners", "scanner-versions"]],
    ["a version of a scanner without a result", { scan_results: { yara: "pass" } }, ["same-scanners"]],
    ["as many of other scanners", { scan_results: { a: "pass" }, scanner_versions: { b: "1" } }, ["same-scanners", "scanner-versions"]],
    ["an empty version", { scanner_versions: { modelscan: "", yara: "4.5" } }, ["scanner-versions"]],
    ["a result that is not pass", { scan_results: { modelscan: "fail", yara: "pass" } }, ["scan-results-pass"]],
    ["a result that is nearly pass", { scan_results: { modelscan: "Pass", yara: "pass " } }, ["scan-results-pass"]],
    ["an empty result", { scan_results: { modelscan: "", yara: "pass" } }, ["scan-results-pass"]],
    ["a scanner of another case", { scanner_versions: { Modelscan: "1", yara: "4.5" } }, ["same-scanners", "scanner-versions"]],
  ])("judges %s", (_, over, ids) => {
    expect(failing({ ...FINE, ...over })).toEqual(ids);
  });

  test.each(["__proto__", "constructor", "toString", "hasOwnProperty"])("takes %s for a scanner like any other", (name) => {
    const evidence = { ...FINE, scan_results: of(name, "pass"), scanner_versions: of(name, "1") };
    expect(failing(evidence)).toEqual([]);
    expect(failing({ ...evidence, scan_results: {} })).toEqual(["scan-results", "same-scanners"]);
    expect(failing({ ...evidence, scanner_versions: {} })).toEqual(["same-scanners", "scanner-versions"]);
  });

  test("passes exactly when the version of the policy, results, their scanners, and each result and version are as they must be", () => {
    const name = fc.constantFrom("a", "b", "__proto__", "constructor");
    const byScanner = (text: fc.Arbitrary<string>): fc.Arbitrary<Record<string, string>> =>
      fc.array(fc.tuple(name, text), { maxLength: 3 }).map((pairs) => Object.fromEntries(pairs));
    const evidence = fc.record({
      scan_results: byScanner(usually("pass", fc.string())),
      scanner_versions: byScanner(usually("1", fc.constant(""))),
      policy_version: usually("p", fc.constant("")),
      source_revision: fc.string(),
    });
    const outcomes = new Set<boolean>();
    fc.assert(
      fc.property(evidence, (said) => {
        const results = Object.entries(said.scan_results);
        const expected =
          said.policy_version !== "" &&
          results.length > 0 &&
          Object.keys(said.scanner_versions).toSorted().join() ===
            results
              .map(([scanner]) => scanner)
              .toSorted()
              .join() &&
          results.every(([, result]) => result === "pass") &&
          Object.values(said.scanner_versions).every((version) => version !== "");
        outcomes.add(expected);
        expect(failing(said).length === 0).toBe(expected);
      }),
      { numRuns: 1000 },
    );
    expect(outcomes).toEqual(new Set([true, false]));
  });

  test("rests every check on the digest of the evidence", () => {
    for (const { inputs } of scanChecks(FINE)) expect(inputs).toEqual([digestOf(canonicalJson(FINE))]);
    expect(scanChecks(NO_SCAN_EVIDENCE)[0]?.inputs).not.toEqual(scanChecks(FINE)[0]?.inputs);
  });

  test("says which scanner fails by what, briefly, and never with half a character", () => {
    expect(message({ scan_results: { modelscan: "unsafe", yara: "pass" } })).toBe('"modelscan" said "unsafe", not "pass"');
    const long = "a" + "\u{1f40d}".repeat(250);
    const brief = message({ scan_results: { modelscan: long, yara: "pass" } });
    expect(brief.length).toBeLessThan(200);
    expect(brief).not.toMatch(/\\ud[89a-f]/);
    const many = Object.fromEntries(Array.from({ length: 64 }, (_, at) => [`s${at}`, "fail"]));
    expect(message({ scan_results: many, scanner_versions: many })).toMatch(/; and 44 more$/);
  });
});
