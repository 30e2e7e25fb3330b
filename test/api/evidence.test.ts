import { describe, expect, test } from "vitest";
import { evaluateRequest, promoteRequest } from "../../src/api/artifacts.ts";
import { scanEvidence, scanOf } from "../../src/api/evidence.ts";

const scanners = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`scanner-${at}`, "pass"]));
const of = (name: string, text: unknown): Record<string, unknown> => Object.fromEntries([[name, text]]);

describe("scan evidence", () => {
  test("that nobody states is empty", () => {
    expect(scanEvidence.parse({})).toEqual({ scan_results: {}, scanner_versions: {}, policy_version: "", source_revision: "" });
  });

  // Two bytes in UTF-8, one unit in UTF-16.
  test.each<[string, unknown]>([
    ["64 scanners", { scan_results: scanners(64), scanner_versions: scanners(64) }],
    ["a name of 256 bytes", { scan_results: of("é".repeat(128), "pass") }],
    ["a value of 1024 bytes", { scanner_versions: of("a", "é".repeat(512)) }],
    ["a value of nothing", { scan_results: of("a", "") }],
    ["versions of 256 bytes", { policy_version: "é".repeat(128), source_revision: "é".repeat(128) }],
  ])("may have %s", (_, body) => {
    expect(scanEvidence.safeParse(body).success).toBe(true);
  });

  test.each<[string, unknown]>([
    ["65 scanners", { scan_results: scanners(65) }],
    ["65 versions", { scanner_versions: scanners(65) }],
    ["a scanner without a name", { scan_results: of("", "pass") }],
    ["a name of 258 bytes in 129 characters", { scan_results: of("é".repeat(129), "pass") }],
    ["a value of 1026 bytes in 513 characters", { scan_results: of("a", "é".repeat(513)) }],
    ["a name with NUL", { scan_results: of("a\0", "pass") }],
    ["a name with a line feed", { scanner_versions: of("a\n", "1") }],
    ["a value with a carriage return", { scan_results: of("a", "pass\r") }],
    ["half of a surrogate pair", { scan_results: of("a", "\ud83d") }],
    ["half of a surrogate pair in a version", { policy_version: "\ud83d" }],
    ["a value that is no text", { scan_results: of("a", true) }],
    ["a list of results", { scan_results: ["pass"] }],
    ["null for results", { scan_results: null }],
    ["text for results", { scan_results: "pass" }],
    ["a policy version of 258 bytes in 129 characters", { policy_version: "é".repeat(129) }],
    ["a source revision of 257 bytes", { source_revision: "a".repeat(257) }],
    ["a policy version that is an object", { policy_version: { hash: "00" } }],
    ["another member", { scans: {} }],
  ])("may not have %s", (_, body) => {
    expect(scanEvidence.safeParse(body).success).toBe(false);
  });

  test("keeps a scanner that is called __proto__", () => {
    const body: unknown = JSON.parse('{"scan_results":{"__proto__":"fail"}}');
    expect(Object.entries(scanEvidence.parse(body).scan_results)).toEqual([["__proto__", "fail"]]);
  });

  test.each([
    ["evaluate", evaluateRequest],
    ["promote", promoteRequest],
  ])("is a part of the body of %s, from where scanOf() takes it and nothing else", (_, schema) => {
    const said = { scan_results: { a: "pass" }, scanner_versions: { a: "1" }, policy_version: "p", source_revision: "r" };
    expect(scanOf(schema.parse({ reason: "why", tags: ["v1"], ...said }))).toEqual(said);
    expect(schema.safeParse({ scan_results: scanners(65) }).success).toBe(false);
  });
});
