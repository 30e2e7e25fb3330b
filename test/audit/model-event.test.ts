import { describe, expect, test } from "vitest";
import {
  GENESIS,
  type ModelEvent,
  fingerprintSchema,
  modelEventHash,
  modelEventJson,
  modelEventSchema,
  modelRecordJson,
  scannerMapSchema,
} from "../../src/audit/model-event.ts";

const RECORD = {
  name: "Tiny <A&B> é\u2028\tx",
  format: "gguf",
  filename: "t.gguf",
  sha256: "1401b495ac16636adac8a011e6ff394a226c1248a6489121667981e5b0b84a8b",
  size_bytes: 10,
  source: "https://ex.test/a?b=1&c=2",
  promoted_at: "2026-11-22T22:42:02Z",
  state: "acquired",
} as const;
const FIRST: ModelEvent = {
  sequence: 1,
  timestamp: "2026-11-22T22:42:02.958711386Z",
  action: "acquire",
  name: RECORD.name,
  to_state: "acquired",
  sha256: RECORD.sha256,
  artifact: RECORD,
  prev_hash: GENESIS,
  hash: "",
};

describe("the predecessor's audit chain", () => {
  test("hashes a first link as the predecessor did", () => {
    expect(modelEventJson(FIRST)).toBe(
      '{"sequence":1,"timestamp":"2026-11-22T22:42:02.958711386Z","action":"acquire","name":"Tiny \\u003cA\\u0026B\\u003e é\\u2028\\tx","to_state":"acquired","sha256":"1401b495ac16636adac8a011e6ff394a226c1248a6489121667981e5b0b84a8b","artifact":{"name":"Tiny \\u003cA\\u0026B\\u003e é\\u2028\\tx","format":"gguf","filename":"t.gguf","sha256":"1401b495ac16636adac8a011e6ff394a226c1248a6489121667981e5b0b84a8b","size_bytes":10,"source":"https://ex.test/a?b=1\\u0026c=2","promoted_at":"2026-11-22T22:42:02Z","state":"acquired"},"prev_hash":"genesis","hash":""}',
    );
    expect(modelEventHash(FIRST)).toBe("eafc55e5f22c1cdd7b8814b6f5b7ffc24496936464f8b4eaefbe8ff4af2fbabf");
  });

  test("hashes the link after it as the predecessor did", () => {
    const second: ModelEvent = {
      ...FIRST,
      sequence: 2,
      timestamp: "2026-11-22T22:42:02.972810008Z",
      action: "quarantine",
      from_state: "acquired",
      to_state: "quarantined",
      artifact: { ...RECORD, state: "quarantined" },
      prev_hash: modelEventHash(FIRST),
    };
    expect(modelEventHash(second)).toBe("f2e3680d9e506abef5bae74c948fc1e4ee71444a984cafc99efde02de3152df2");
    // The hash that stands in a link is no part of what is hashed.
    expect(modelEventHash({ ...second, hash: "anything" })).toBe(modelEventHash(second));
  });

  test.each(["2026-11-22T22:42:02Z", "2026-11-22T22:42:02.1Z", "2026-11-22T22:42:02.000000001Z"])("takes the time %s", (timestamp) => {
    expect(modelEventSchema.safeParse({ ...FIRST, timestamp }).success).toBe(true);
  });

  test.each(["2026-11-22T22:42:02.10Z", "2026-11-22T22:42:02.Z", "2026-11-22T22:42:02.1234567891Z", "2026-11-22T22:42:02+00:00"])(
    "refuses the time %s",
    (timestamp) => {
      expect(modelEventSchema.safeParse({ ...FIRST, timestamp }).success).toBe(false);
    },
  );
});

describe("a record", () => {
  test("has its members in the predecessor's order whatever order they came in, maps sorted, and leaves out what is empty", () => {
    const shuffled = {
      gguf_guard_manifest: "t.json",
      gguf_guard_fingerprint: { z: [{ b: 1, a: 2 }], a: 1 },
      source_revision: "main",
      policy_version: "",
      scanner_versions: { yara: "4.5", modelscan: "0.8.5" },
      scan_results: {},
      state: "trusted" as const,
      promoted_at: RECORD.promoted_at,
      source: "",
      size_bytes: 10,
      sha256: RECORD.sha256,
      filename: "t.gguf",
      format: "gguf" as const,
      name: "t",
    };
    expect(modelRecordJson(shuffled)).toBe(
      `{"name":"t","format":"gguf","filename":"t.gguf","sha256":"${RECORD.sha256}","size_bytes":10,"promoted_at":"2026-11-22T22:42:02Z","state":"trusted",` +
        '"scanner_versions":{"modelscan":"0.8.5","yara":"4.5"},"source_revision":"main","gguf_guard_fingerprint":{"a":1,"z":[{"a":2,"b":1}]},"gguf_guard_manifest":"t.json"}',
    );
  });
});

const many = (count: number): Record<string, string> => Object.fromEntries(Array.from({ length: count }, (_, n) => [`s${n}`, "pass"]));

describe("scanners' maps", () => {
  test.each<[string, unknown]>([
    ["nothing", {}],
    ["as many as may be", many(64)],
    ["the longest name and value", { ["x".repeat(256)]: "y".repeat(1024) }],
    ["a scanner called __proto__", JSON.parse('{"__proto__":"pass"}')],
  ])("take %s", (_, value) => {
    expect(scannerMapSchema.safeParse(value)).toEqual({ success: true, data: value });
  });

  test.each<[string, unknown]>([
    ["one more", many(65)],
    ["a longer name", { ["x".repeat(257)]: "pass" }],
    ["no name", { "": "pass" }],
    ["a longer value, by bytes", { s: "ü".repeat(513) }],
    ["two lines", { s: "pass\nfail" }],
    ["a number", { s: 1 }],
    ["a list", []],
    ["null", null],
    ["text", "pass"],
  ])("refuse %s", (_, value) => {
    expect(scannerMapSchema.safeParse(value).success).toBe(false);
  });
});

function nested(depth: number): unknown {
  return depth === 0 ? 1 : { a: nested(depth - 1) };
}

describe("a fingerprint", () => {
  test.each<[string, unknown]>([
    ["nothing", {}],
    ["what is 32 deep", nested(32)],
    ["as many members as may be", { list: Array.from({ length: 4096 }, () => 1) }],
    [
      "as many values as may be",
      { a: Array.from({ length: 4096 }, () => 1), b: Array.from({ length: 4096 }, () => 1), c: Array.from({ length: 1804 }, () => 1) },
    ],
    ["null and the like", { a: null, b: true, c: [1.5] }],
  ])("takes %s", (_, value) => {
    expect(fingerprintSchema.safeParse(value)).toEqual({ success: true, data: value });
  });

  test.each<[string, unknown]>([
    ["what is 33 deep", nested(33)],
    ["a longer list", { list: Array.from({ length: 4097 }, () => 1) }],
    [
      "more values",
      { a: Array.from({ length: 4096 }, () => 1), b: Array.from({ length: 4096 }, () => 1), c: Array.from({ length: 1805 }, () => 1) },
    ],
    ["a longer text", { a: "x".repeat(4097) }],
    ["two lines", { a: "x\ny" }],
    ["a longer name", { ["x".repeat(257)]: 1 }],
    ["no name", { "": 1 }],
    ["a number that no double holds", { a: Infinity }],
    ["a list by itself", [1]],
    ["null", null],
  ])("refuses %s", (_, value) => {
    expect(fingerprintSchema.safeParse(value).success).toBe(false);
  });
});
