import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { ModelManifestError, parseModelManifest } from "../../src/audit/model-manifest.ts";
import { chainOf, manifestText, promoted, recordOf } from "../support/model-chains.ts";

// Thousands of hashes take their time on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

const A = recordOf("a");

function refusal(text: string | Uint8Array): string {
  try {
    parseModelManifest(typeof text === "string" ? Buffer.from(text) : text, "/registry");
    return "";
  } catch (error) {
    if (error instanceof ModelManifestError) return error.message;
    throw error;
  }
}

const older = (...models: readonly unknown[]): ReturnType<typeof parseModelManifest> =>
  parseModelManifest(Buffer.from(JSON.stringify({ version: 1, models })), "/registry");

describe("a manifest with its history", () => {
  test("is read when the history proves it", () => {
    const events = chainOf(A, promoted(recordOf("b")));
    const { entries, chain } = parseModelManifest(Buffer.from(manifestText(events)), "/registry");
    expect(chain?.events).toEqual(events);
    expect(entries).toMatchObject([
      { position: 1, name: "a", model: { name: "a", state: "acquired", size: 10 }, history: { steps: [] } },
      { position: 2, name: "b", model: { name: "b", state: "trusted" }, history: { steps: [{ event: "promote" }] } },
    ]);
  });

  test("is refused as a whole when the history does not hold", () => {
    const events = chainOf(A);
    expect(refusal(manifestText(events, [{ ...A, state: "trusted" }]))).toBe("manifest models do not exactly match full audit replay");
    expect(refusal(manifestText(events).replace('"size_bytes": 10', '"size_bytes": 11'))).not.toBe("");
    expect(refusal(manifestText(events).replaceAll("a.gguf", "b.gguf"))).toBe("audit chain break at event 1");
  });

  test("tells of a record that cannot be registered by itself", () => {
    const events = chainOf({ ...A, filename: "blobs/a.gguf" }, recordOf("b"));
    expect(parseModelManifest(Buffer.from(manifestText(events)), "/registry").entries).toMatchObject([
      { name: "a", fault: "invalid filename: filename names a folder of the registry itself" },
      { name: "b", model: { name: "b" } },
    ]);
  });

  test("may have more values than a request", () => {
    const events = chainOf(...Array.from({ length: 12_000 }, (_, at) => recordOf(`m${at}`)));
    expect(parseModelManifest(Buffer.from(manifestText(events).replaceAll(/\n\s*/g, "")), "/registry").entries).toHaveLength(12_000);
  });
});

describe("a manifest of the older layout", () => {
  test("means trusted where it says no state", () => {
    const { state, ...stateless } = A;
    expect(state).toBe("acquired");
    expect(older(stateless, { ...recordOf("b"), state: "" }, recordOf("c"))).toMatchObject({
      chain: undefined,
      entries: [{ model: { state: "trusted" } }, { model: { state: "trusted" } }, { model: { state: "acquired" } }],
    });
  });

  test("may name files by absolute paths into the data directory, and by no others", () => {
    expect(older({ ...A, filename: "/registry/sub/a.gguf" }, { ...recordOf("b"), filename: "/etc/b.gguf" }).entries).toMatchObject([
      { model: { path: "sub/a.gguf" } },
      { fault: "invalid filename: filename escapes registry directory" },
    ]);
  });

  test("may lack the digest of what was never promoted", () => {
    expect(older({ ...A, sha256: "" }).entries).toMatchObject([{ model: { sha256: undefined } }]);
  });

  test("counts the first of a name", () => {
    expect(older(A, { ...A, filename: "b.gguf" }).entries).toMatchObject([{ model: {} }, { fault: "an earlier record has the same name" }]);
  });

  test("tells of every record that is none by itself", () => {
    expect(older(7, { ...recordOf("b"), policy_bundle: {} }, A).entries).toMatchObject([
      { position: 1, name: "", fault: expect.any(String) as string },
      { position: 2, name: "b", fault: 'unknown key "policy_bundle"' },
      { position: 3, name: "a", model: {} },
    ]);
  });
});

test.each([
  '{"version":1,"models":null}',
  '{"version":1}',
  '{"version":1,"models":[],"events":[]}',
  '{"version":1,"models":[],"events":null}',
])("%s names nothing", (text) => {
  expect(parseModelManifest(Buffer.from(text), "/registry")).toEqual({ entries: [], chain: undefined });
});

test.each([
  ["no JSON", "{", /not JSON/],
  ["a second value", "{} {}", /not JSON/],
  ["a key twice", '{"version":1,"version":1}', /same key twice/],
  ["an unknown key", '{"version":1,"owner":1}', /unknown key "owner"/],
  ["another version", '{"version":2}', /^version: /],
  ["no UTF-8", Buffer.from([0xff]), /UTF-8/],
  ["too deep a nesting", `{"version":1,"models":[${"[".repeat(50)}${"]".repeat(50)}]}`, /40 deep/],
  ["too much", Buffer.alloc(16 * 1024 ** 2 + 1, " "), /at most 16777216 bytes/],
  ["a history and other records", '{"version":1,"models":[{}],"events":[{}]}', /^invalid audit event 1: /],
])("a manifest is refused for %s", (_, text, words) => {
  expect(refusal(text)).toMatch(words);
});

test("a parser of any bytes throws nothing but its own error", () => {
  const record = fc.oneof(
    fc.constant(A),
    fc.constant(null),
    fc.json().map((text) => JSON.parse(text) as unknown),
  );
  const nearly = fc.record(
    { version: fc.constantFrom(1, 2, "1"), models: fc.array(record), events: fc.array(record) },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(
      fc.oneof(
        nearly.map((value) => JSON.stringify(value)),
        fc.string(),
        fc.json(),
      ),
      (text) => {
        expect(() => refusal(text)).not.toThrow();
      },
    ),
    { numRuns: 500 },
  );
});
