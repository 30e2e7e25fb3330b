import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { extensionOf, formatOf, isModelName, modelFilename, repositoryOfModel } from "../../src/oci/model-name.ts";
import { hasDigestLikeComponent, isRepositoryName, namespaceOf } from "../../src/oci/reference.ts";

/** Names as people give them, names that look like what we make of them, and anything else. */
const aName = fc
  .oneof(
    fc.string({ unit: "grapheme", maxLength: 80 }),
    fc.string({ unit: "binary", maxLength: 80 }),
    fc.stringMatching(/^[a-z0-9]+(?:[._-][a-z0-9]+)*$/),
    fc.constantFrom(
      "Phi-3 Mini (Q4)",
      "sha256",
      "SHA256",
      "Sha-512",
      "sha256-abcdef",
      "latest",
      "models/x",
      "a:v1",
      "模型",
      "Ünïcödé",
      "---",
      "A",
    ),
    fc
      .tuple(fc.constantFrom("sha256", "SHA512", "x"), fc.stringMatching(/^[0-9a-f]{1,64}$/))
      .map(([algorithm, hex]) => `${algorithm}-${hex}`),
  )
  .filter(isModelName);

const hashOf = (name: string): string => createHash("sha256").update(name).digest("hex").slice(0, 12);
const plainOf = (name: string): string => `models/${name}`;
const isPlain = (name: string): boolean =>
  /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/.test(name) && name.length <= 248 && !/^sha(?:256|512)-[0-9a-f]+$/.test(name);

describe("the repository of a name", () => {
  test("is always one of the namespace models that pushes may go to, with a single component below it", () => {
    fc.assert(
      fc.property(aName, (name) => {
        const repository = repositoryOfModel(name);
        expect(isRepositoryName(repository)).toBe(true);
        expect(namespaceOf(repository)).toBe("models");
        expect(repository.split("/")).toHaveLength(2);
        expect(hasDigestLikeComponent(repository)).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });

  test("is the name itself where that is a component, else its fold of at most 64 characters and a hash of all of it", () => {
    fc.assert(
      fc.property(aName, (name) => {
        const repository = repositoryOfModel(name);
        const isFolded = new RegExp(`^models/(?:model-)?[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?-${hashOf(name)}$`).test(repository);
        expect({ plain: repository === plainOf(name), isFolded }).toEqual({ plain: isPlain(name), isFolded: !isPlain(name) });
      }),
      { numRuns: 2000 },
    );
  });

  test("is another one for another name, unless the name is literally what another's became", () => {
    fc.assert(
      fc.property(aName, aName, (one, other) => {
        fc.pre(one !== other && plainOf(one) !== repositoryOfModel(other) && plainOf(other) !== repositoryOfModel(one));
        expect(repositoryOfModel(one)).not.toBe(repositoryOfModel(other));
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ["phi-3", "models/phi-3"],
    ["phi_3.gguf", "models/phi_3.gguf"],
    ["Phi-3 Mini (Q4)", `models/phi-3-mini-q4-${hashOf("Phi-3 Mini (Q4)")}`],
    ["Modèle Éclair", `models/modele-eclair-${hashOf("Modèle Éclair")}`],
    ["models/x", `models/models-x-${hashOf("models/x")}`],
    ["模型", `models/model-${hashOf("模型")}`],
    [`A${"b".repeat(100)}`, `models/a${"b".repeat(63)}-${hashOf(`A${"b".repeat(100)}`)}`],
    ["sha256-00ff", `models/sha256-00ff-${hashOf("sha256-00ff")}`],
    // Its fold with a hash behind it would read as a digest (RULES 16).
    ["SHA256", `models/model-sha256-${hashOf("SHA256")}`],
  ])("of %s is %s", (name, repository) => {
    expect(repositoryOfModel(name)).toBe(repository);
  });
});

describe("a name", () => {
  test.each(["a", "Phi-3 Mini (Q4)", "x".repeat(256), "ü".repeat(128), "tab\tinside", "a/b", "a:b@c", "\u{FEFF}x", "<A&B>", "__proto__"])(
    "may be %j",
    (name) => {
      expect(isModelName(name)).toBe(true);
    },
  );

  test.each([
    "",
    " ",
    " a",
    "a ",
    "a\n",
    "\ta",
    "a\u0085",
    "a\u00A0",
    "\u3000a",
    "a\0b",
    "a\rb",
    "a\nb",
    "x".repeat(257),
    `${"ü".repeat(128)}x`,
    "half \ud800",
  ])("may not be %j", (name) => {
    expect(isModelName(name)).toBe(false);
  });
});

describe("a filename", () => {
  test.each([
    ["m.gguf", "m.gguf"],
    ["sub/n.gguf", "sub/n.gguf"],
    ["./m.gguf", "m.gguf"],
    ["a/../m.gguf", "m.gguf"],
    ["a//b/./c.gguf", "a/b/c.gguf"],
    ["a/b/../../m.gguf", "m.gguf"],
    ["..m.gguf", "..m.gguf"],
    ["blobs.gguf", "blobs.gguf"],
    ["sub/blobs/x.gguf", "sub/blobs/x.gguf"],
    ["m.gguf/", "m.gguf"],
  ])("%j is the file %j", (text, path) => {
    expect(modelFilename(text)).toEqual({ path });
  });

  test.each([
    ["x".repeat(4097), "filename exceeds 4096 bytes"],
    ["ü".repeat(2049), "filename exceeds 4096 bytes"],
    // In this order.
    [`${"x".repeat(4097)}\0\\`, "filename exceeds 4096 bytes"],
    ["/etc/\0\\", "filename contains null byte"],
    ["..\\m.gguf", "filename contains path separator"],
    ["/etc/m.gguf", "filename escapes registry directory"],
    ["../m.gguf", "filename escapes registry directory"],
    ["a/../../m.gguf", "filename escapes registry directory"],
    ["a/../..", "filename escapes registry directory"],
    [".", "filename escapes registry directory"],
    ["a/..", "filename escapes registry directory"],
    ["half \ud800.gguf", "filename escapes registry directory"],
    ["blobs/sha256/aa/x.gguf", "filename names a folder of the registry itself"],
    ["./trusted/models/x/m.gguf", "filename names a folder of the registry itself"],
    ["x/../credentials/operator", "filename names a folder of the registry itself"],
    ["METADATA/secret", "filename names a folder of the registry itself"],
    ["Uploads", "filename names a folder of the registry itself"],
    // File systems that fold case take these for the same.
    ["blob\u017F/x.gguf", "filename names a folder of the registry itself"],
  ])("%j is refused: %s", (text, refused) => {
    expect(modelFilename(text)).toEqual({ refused });
  });

  test("that is taken stays below the root, in one spelling, and out of the registry's own folders", () => {
    const aPart = fc.oneof(fc.constantFrom("..", ".", "", "a", "blobs", "Trusted", "x.gguf"), fc.string({ maxLength: 8 }));
    fc.assert(
      fc.property(fc.array(aPart, { minLength: 1, maxLength: 6 }), (parts) => {
        const checked = modelFilename(parts.join("/"));
        if ("refused" in checked) return;
        const { path } = checked;
        expect(path.split("/").filter((part) => part === "" || part === "." || part === "..")).toEqual([]);
        expect(modelFilename(path)).toEqual({ path });
        expect(modelFilename(`./${path}`)).toEqual({ path });
        expect(modelFilename(`z/../${path}`)).toEqual({ path });
        expect(path).not.toMatch(/^(?:credentials|metadata|blobs|uploads|trusted)(?:\/|$)/i);
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ["m.gguf", ".gguf", "gguf"],
    ["m.GGUF", ".gguf", "gguf"],
    ["m.SafeTensors", ".safetensors", "safetensors"],
    ["m.gguf.pkl", ".pkl", undefined],
    ["m", "", undefined],
    ["a.gguf/m", "", undefined],
    ["m.", ".", undefined],
    [".gguf", ".gguf", "gguf"],
  ])("%s has the extension %j and the format %s", (text, extension, format) => {
    expect([extensionOf(text), formatOf(text)]).toEqual([extension, format]);
  });
});
