import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { type LockEntry, LockFileError, lockFileText, parseLockFile } from "../../src/audit/lock-file.ts";
import { type WrittenModel, recordedModel } from "../../src/audit/recorded-model.ts";
import { isModelName } from "../../src/oci/model-name.ts";

// Large files take their time on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

const SHA = "1401b495ac16636adac8a011e6ff394a226c1248a6489121667981e5b0b84a8b";
const entry = (more = "", name = "m", filename = `${name}.gguf`): string =>
  `  - name: ${name}\n    filename: ${filename}\n    sha256: ${SHA}\n${more}`;
const file = (...entries: readonly string[]): string => `version: 1\nmodels:\n${entries.join("")}`;
const parse = (text: string): readonly LockEntry[] => parseLockFile(Buffer.from(text));

function refusal(text: string | Uint8Array): string {
  try {
    parseLockFile(typeof text === "string" ? Buffer.from(text) : text);
    return "";
  } catch (error) {
    if (error instanceof LockFileError) return error.message;
    throw error;
  }
}

const faultOf = (read: LockEntry | undefined): string | undefined => (read !== undefined && "fault" in read ? read.fault : undefined);

describe("a lock file", () => {
  test("is read with its defaults, and entries know their place", () => {
    const [first, second] = parse(file(entry(), `\n${entry("    size_bytes: 10\n    state: revoked\n", "n")}`));
    expect(first).toEqual({
      position: 1,
      line: 3,
      name: "m",
      model: {
        name: "m",
        format: "gguf",
        filename: "m.gguf",
        path: "m.gguf",
        objectPath: undefined,
        sha256: SHA,
        size: 0,
        source: "",
        state: "trusted",
        promotedAt: undefined,
        scan: { scan_results: {}, scanner_versions: {}, policy_version: "", source_revision: "" },
        fingerprint: {},
        tensorManifest: "",
      },
    });
    expect(second).toMatchObject({ position: 2, line: 7, name: "n", model: { size: 10, state: "revoked" } });
  });

  test("takes every member that the predecessor knows", () => {
    const object = `objects/sha256/14/${SHA}.gguf`;
    const more = [
      "format: gguf",
      `object_path: ${object}`,
      "source: https://ex.test/a",
      "promoted_at: 2026-11-22T22:42:02Z",
      "scan_results: { scanner: pass }",
      "scanner_versions: { scanner: 1.10 }",
      "policy_version: 2.0",
      "source_revision: 0012",
      "gguf_guard_fingerprint: { layers: 3, nested: [true, 1.5, null] }",
      "gguf_guard_manifest: sub/../m.manifest.json",
    ];
    const [read] = parse(file(entry(more.map((line) => `    ${line}\n`).join(""))));
    expect(read).toMatchObject({
      model: {
        objectPath: object,
        source: "https://ex.test/a",
        promotedAt: Date.parse("2026-11-22T22:42:02Z"),
        // As they were written: the predecessor reads text there.
        scan: { scan_results: { scanner: "pass" }, scanner_versions: { scanner: "1.10" }, policy_version: "2.0", source_revision: "0012" },
        fingerprint: { layers: 3, nested: [true, 1.5, null] },
        tensorManifest: "m.manifest.json",
      },
    });
  });

  test.each(["version: 1\n", "version: 1\nmodels:\n", "version: 1\nmodels: []\n", '{"version":1,"models":[]}'])(
    "may name no model: %j",
    (text) => {
      expect(parse(text)).toEqual([]);
    },
  );

  test("may hold text that looks like a number where a digest is text", () => {
    const digits = "12345678901234567890123456789012345678901234567890123456789012e4";
    expect(parse(file(entry().replace(SHA, digits)))).toMatchObject([{ model: { sha256: digits } }]);
  });

  test.each([
    ["nothing", "", /mapping with version and models/],
    ["a comment alone", "# nothing\n", /mapping with version and models/],
    ["a list", "- a\n", /mapping with version and models/],
    ["no version", "models: []\n", /version must be 1/],
    ["another version", "version: 2\n", /version must be 1/],
    ["a version as text", 'version: "1"\n', /version must be 1/],
    ["an unknown key", "version: 1\nblocked: []\n", /unknown key "blocked"/],
    ["a key twice", "version: 1\nversion: 1\n", /the key "version" comes twice/],
    ["models that are no list", "version: 1\nmodels: { a: 1 }\n", /models must be a list/],
    ["two documents", "version: 1\n---\nversion: 1\n", /^line \d: .*multiple documents/],
    ["no YAML", "version: [1\n", /^line \d+: /],
    ["a tag of its own", "version: !thing 1\n", /^line 1: .*tag/],
    ["no UTF-8", Buffer.from([0x76, 0xff]), /UTF-8/],
    ["too much", Buffer.alloc(16 * 1024 ** 2 + 1, " "), /at most 16777216 bytes/],
    ["too deep a nesting", "[".repeat(200_000), /cannot be read|line|mapping/],
  ])("is refused as a whole for %s", (_, text, words) => {
    expect(refusal(text)).toMatch(words);
  });

  test("is refused for more than 100000 models", () => {
    expect(refusal(`version: 1\nmodels: [${"1,".repeat(100_001)}]`)).toMatch(/at most 100000 models/);
  });
});

describe("an entry is refused alone", () => {
  test.each([
    ["for an unknown key", entry("    blocked: true\n"), /unknown key "blocked"/],
    ["for a key twice", entry("    state: trusted\n    state: revoked\n"), /"state" comes twice/],
    ["for no name", `  - filename: x.gguf\n    sha256: ${SHA}\n`, /^name: /],
    ["for a bad name", entry("", '" x"', "x.gguf"), /^name: must be 1 to 256 bytes/],
    ["for no digest", "  - name: x\n    filename: x.gguf\n", /^sha256: /],
    ["for a digest in capitals", entry().replace(SHA, SHA.toUpperCase()), /^sha256: must be 64 lower-case/],
    ["for a path out of the directory", entry("", "x", "../x.gguf"), /escapes registry directory/],
    ["for a folder of the registry", entry("", "x", "trusted/x.gguf"), /folder of the registry/],
    ["for another kind of file", entry("", "x", "x.bin"), /neither \.gguf nor \.safetensors/],
    ["for a format that is not the file's", entry("    format: safetensors\n"), /not that of the format safetensors/],
    ["for an object_path of another digest", entry(`    object_path: objects/sha256/14/${SHA}.safetensors\n`), /object_path/],
    ["for a manifest out of the directory", entry("    gguf_guard_manifest: /etc/passwd\n"), /gguf_guard_manifest/],
    ["for an unknown state", entry("    state: fine\n"), /^state: /],
    ["for a size below zero", entry("    size_bytes: -1\n"), /^size_bytes: /],
    ["for an alias", entry("    source: *other\n"), /alias|line/],
    ["for a fingerprint that no JSON can hold", entry("    gguf_guard_fingerprint: { x: .nan }\n"), /finite/],
    ["for being no mapping", "  - just text\n", /must be a mapping/],
    ["for being nothing", "  -\n", /must be a mapping/],
  ])("%s", (_, bad, words) => {
    const text = file(entry("    source: &other a\n", "good"), bad);
    const [good, other, ...more] = parse(text);
    expect(good).toMatchObject({ name: "good", model: { name: "good" } });
    expect(faultOf(other)).toMatch(words);
    expect(other).toMatchObject({ position: 2 });
    expect(more).toEqual([]);
  });

  test("with every other of its name, since nobody knows which is meant", () => {
    const faults = parse(file(entry(), entry("", "n"), entry("", "m", "other.gguf"))).map(faultOf);
    expect(faults).toEqual(["another entry has the same name", undefined, "another entry has the same name"]);
  });

  test("with every other of its file, in whatever spelling, unless that one is deleted", () => {
    const faults = parse(file(entry("", "a", "x.gguf"), entry("", "b", "./sub/../x.gguf"))).map(faultOf);
    expect(faults).toEqual(["another entry has the same filename", "another entry has the same filename"]);
    expect(parse(file(entry("", "a", "x.gguf"), entry("    state: deleted\n", "b", "x.gguf"))).map(faultOf)).toEqual([
      undefined,
      undefined,
    ]);
  });
});

const names = fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 }).filter(isModelName);
const lines = fc.string({ unit: "grapheme", maxLength: 20 }).filter((text) => !/[\0\r\n]/.test(text) && text.isWellFormed());
const scanned = fc.dictionary(
  lines.filter((text) => text !== ""),
  lines,
  { maxKeys: 4, noNullPrototype: true },
);
const models: fc.Arbitrary<WrittenModel> = fc
  .record(
    {
      name: names,
      format: fc.constantFrom("gguf", "safetensors"),
      stem: fc.stringMatching(/^[a-z0-9 #:'"-]{1,12}$/),
      sha256: fc.stringMatching(/^[0-9a-f]{64}$/),
      size_bytes: fc.nat(),
      source: fc.string({ unit: "grapheme", maxLength: 40 }),
      promoted_at: fc.constantFrom("2026-11-22T22:42:02Z", ""),
      state: fc.constantFrom("acquired", "trusted", "revoked"),
      scan_results: scanned,
      scanner_versions: scanned,
      policy_version: fc.oneof(lines, fc.constantFrom("1.0", "true", "~", "null", "0x10", "1e3", "- a", "<<", "2026-01-01")),
      source_revision: fc.stringMatching(/^[0-9a-f]{0,40}$/),
      gguf_guard_fingerprint: fc.dictionary(
        lines.filter((text) => text !== ""),
        fc.oneof(
          lines,
          fc.integer(),
          fc.boolean(),
          fc.constant(null),
          fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { maxLength: 3 }),
        ),
        { maxKeys: 4, noNullPrototype: true },
      ),
    },
    { requiredKeys: ["name", "format", "stem", "sha256", "size_bytes", "state"], noNullPrototype: true },
  )
  .map(({ stem, ...rest }) => ({ ...rest, filename: `${stem}.${rest.format}` }));
const distinct = fc.uniqueArray(models, { maxLength: 5, selector: ({ name }) => name });

describe("whatever is written or read", () => {
  test("what is written is read again as it was", () => {
    fc.assert(
      fc.property(distinct, (written) => {
        // Files of their own, so that none is refused for another.
        const own = written.map((model, at) => ({ ...model, filename: `${at}/${model.filename}` }));
        const read = parse(lockFileText(own));
        expect(read.map((each) => ("model" in each ? each.model : each.fault))).toEqual(own.map(recordedModel));
      }),
    );
  });

  test("the same models give the same bytes", () => {
    fc.assert(fc.property(distinct, (written) => lockFileText(written) === lockFileText(structuredClone(written))));
  });

  test("a parser of any bytes throws nothing but its own error", () => {
    const yamlish = fc
      .array(
        fc.constantFrom(
          "version: 1\n",
          "models:\n",
          "  - ",
          "name: a\n",
          "    ",
          "filename: a.gguf\n",
          `sha256: ${SHA}\n`,
          "&a ",
          "*a",
          "!!binary ",
          "? ",
          ": ",
          "[",
          "]",
          "{",
          "}",
          "|\n",
          ">-\n",
          "'",
          '"',
          "\\u{0",
          "<<: ",
          "---\n",
          "...\n",
          "%YAML 1.1\n",
          "#",
          "\t",
          "- ",
          "~",
          "0x1",
          "__proto__: 1\n",
          ",",
        ),
        { maxLength: 30 },
      )
      .map((parts) => Buffer.from(parts.join("")));
    fc.assert(
      fc.property(
        fc.oneof(
          yamlish,
          fc.uint8Array({ maxLength: 200 }),
          fc.string().map((text) => Buffer.from(text)),
        ),
        (bytes) => {
          expect(() => refusal(bytes)).not.toThrow();
        },
      ),
      { numRuns: 2000 },
    );
  });
});
