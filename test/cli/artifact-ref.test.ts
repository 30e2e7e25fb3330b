import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type ArtifactRef, parseArtifactRef, parseRepository, parseTagRef, readArtifactRef, refText } from "../../src/cli/artifact-ref.ts";
import { CliError, EXIT } from "../../src/cli/failure.ts";
import { digestOf } from "../../src/oci/digest.ts";

const SERVER = new URL("http://127.0.0.1:8470");
const DIGEST = digestOf("x");

test.each([
  ["models/x:v1", { repository: "models/x", tag: "v1", digest: undefined }],
  [`models/x@${DIGEST}`, { repository: "models/x", tag: undefined, digest: DIGEST }],
  [`models/x:v1@${DIGEST}`, { repository: "models/x", tag: "v1", digest: DIGEST }],
  ["x:v1", { repository: "x", tag: "v1", digest: undefined }],
  ["127.0.0.1:8470/models/x:v1", { repository: "models/x", tag: "v1", digest: undefined }],
  ["localhost:8470/models/x:v1", { repository: "models/x", tag: "v1", digest: undefined }],
  ["[::1]:8470/models/x:v1", { repository: "models/x", tag: "v1", digest: undefined }],
])("%s is read", (text, ref) => {
  expect(parseArtifactRef(text, SERVER)).toEqual(ref);
});

test("the registry's own name without a port is no part of a repository", () => {
  expect(parseArtifactRef("registry.example/models/x:v1", new URL("https://registry.example")).repository).toBe("models/x");
  expect(parseRepository("registry.example/models/x", SERVER)).toBe("registry.example/models/x");
});

test.each([
  ["models/x"],
  ["models/x:"],
  ["models/x@sha256:12"],
  ["Models/x:v1"],
  ["models/x:-bad"],
  ["../x:v1"],
  [""],
  ["registry.example:5000/models/x:v1"],
  ["127.0.0.1:8471/models/x:v1"],
  ["models/x:v1?y=z"],
])("%s is wrong usage", (text) => {
  expect(() => parseArtifactRef(text, SERVER)).toThrow(expect.objectContaining({ exit: EXIT.usage }));
});

test.each(["Phi-3 Mini (Q4)", "models/x", "Models/x", "a: b/c", "a:b/c", "a:99999/c", "x@y"])(
  "%s is no reference, and may be a name",
  (text) => {
    expect(readArtifactRef(text, SERVER)).toEqual({ fault: expect.any(String) as string });
  },
);

test("a reference to another registry is no name either", () => {
  expect(() => readArtifactRef("registry.example:5000/models/x:v1", SERVER)).toThrow(expect.objectContaining({ exit: EXIT.usage }));
});

test("a tag's ref names a tag and nothing else", () => {
  expect(parseTagRef("models/x:v1", SERVER)).toEqual({ repository: "models/x", tag: "v1" });
  expect(() => parseTagRef(`models/x@${DIGEST}`, SERVER)).toThrow(expect.objectContaining({ exit: EXIT.usage }));
});

test("refText prefers the digest, which is what is meant", () => {
  expect(refText(parseArtifactRef(`models/x:v1@${DIGEST}`, SERVER))).toBe(`models/x@${DIGEST}`);
  expect(refText(parseArtifactRef("models/x:v1", SERVER))).toBe("models/x:v1");
});

/** Pieces of references, and of what is none. */
const piece = fc.constantFrom("models", "x", "v1", ":", "/", "@", DIGEST, "127.0.0.1:8470/", "a b", "..", "é", "\u001b", "8080");

test("whatever text there is, it is a reference that reads the same again, or none, or one to elsewhere", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join("")),
  );
  fc.assert(
    fc.property(text, (given) => {
      const ref = read(given);
      const again = ref === undefined ? undefined : { ...ref, tag: ref.digest === undefined ? ref.tag : undefined };
      expect(ref && read(refText(ref))).toEqual(again);
    }),
  );
});

/** Undefined for what is none; anything but a usage error is thrown on. */
function read(text: string): ArtifactRef | undefined {
  try {
    const ref = readArtifactRef(text, SERVER);
    return "fault" in ref ? undefined : ref;
  } catch (error) {
    if (error instanceof CliError && error.exit === EXIT.usage && error.message.includes("another registry")) return undefined;
    throw error;
  }
}
