import { canonicalJson } from "../oci/canonical-json.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import { type Check, listed } from "./check.ts";

/** What scanners said of an artifact, as whoever promotes it states it; bounded by the schema of the request. Empty is what was not said. */
export interface ScanEvidence {
  /** Text by scanner; never `Object.prototype`'s members, so look-ups go through `Object.entries`. */
  readonly scan_results: Readonly<Record<string, string>>;
  readonly scanner_versions: Readonly<Record<string, string>>;
  readonly policy_version: string;
  readonly source_revision: string;
}

/** Nobody said anything of a scan. */
export const NO_SCAN_EVIDENCE: ScanEvidence = { scan_results: {}, scanner_versions: {}, policy_version: "", source_revision: "" };

/** The predecessor's rule for promotions (secai-behaviour.md 1.6, rows 5 and 6), a check for each of its conditions. All rest on the evidence. */
export function scanChecks(evidence: ScanEvidence): readonly Check[] {
  const results = new Map(Object.entries(evidence.scan_results));
  const versions = new Map(Object.entries(evidence.scanner_versions));
  const inputs = [scanDigest(evidence)];
  const check = (id: string, fine: string, faults: readonly string[]): Check =>
    faults.length === 0 ? { id, status: "pass", message: fine, inputs } : { id, status: "fail", message: listed(faults), inputs };
  return [
    check(
      "policy-version",
      `scanned under the policy version ${quoted(evidence.policy_version)}`,
      evidence.policy_version === "" ? ["nothing says under which policy it was scanned: state policy_version"] : [],
    ),
    check(
      "scan-results",
      `${results.size} scanners gave a result`,
      results.size === 0 ? ["no scanner gave a result: state scan_results"] : [],
    ),
    check("same-scanners", "results and versions are of the same scanners", [
      ...missing(results, versions).map((name) => `${quoted(name)} is in scan_results and not in scanner_versions`),
      ...missing(versions, results).map((name) => `${quoted(name)} is in scanner_versions and not in scan_results`),
    ]),
    check(
      "scan-results-pass",
      `${results.size} of ${results.size} results are "pass"`,
      [...results].filter(([, result]) => result !== "pass").map(([name, result]) => `${quoted(name)} said ${quoted(result)}, not "pass"`),
    ),
    check(
      "scanner-versions",
      `${results.size} of ${results.size} scanners have a version`,
      [...results.keys()].filter((name) => (versions.get(name) ?? "") === "").map((name) => `${quoted(name)} has no version`),
    ),
  ];
}

/** What was said of scans, as an input of checks. */
export function scanDigest(evidence: ScanEvidence): Digest {
  return digestOf(canonicalJson(evidence));
}

function missing(from: ReadonlyMap<string, string>, other: ReadonlyMap<string, string>): readonly string[] {
  return [...from.keys()].filter((name) => !other.has(name));
}

const MAX_QUOTED = 64;

/** Others' words in a message: no longer than they help, and without half of a character where they are cut. */
function quoted(text: string): string {
  return JSON.stringify(text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED).toWellFormed()}…` : text);
}
