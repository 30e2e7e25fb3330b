import { readFileSync, readdirSync } from "node:fs";
import { Validator } from "@seriousme/openapi-schema-validator";
import type { AnySchema } from "ajv";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { z } from "zod";
import { vocabulary } from "../../src/api/operations.ts";
import { Contract, createValidator } from "../support/contract.ts";

const FILES = readdirSync("schemas").filter((file) => file.endsWith(".schema.json"));

test.each(FILES)("an independent validator takes schemas/%s for a schema, and understands every word of it", (file) => {
  const ajv = createValidator();
  const schema = JSON.parse(readFileSync(`schemas/${file}`, "utf8")) as AnySchema;
  expect([ajv.validateSchema(schema), ajv.errors]).toEqual([true, null]);
  expect(() => ajv.compile(schema)).not.toThrow();
});

test("an independent validator takes schemas/openapi.yaml for an OpenAPI document of 3.1", async () => {
  const validator = new Validator();
  expect(await validator.validate(readFileSync("schemas/openapi.yaml", "utf8"))).toEqual({ valid: true });
  expect(validator.version).toBe("3.1");
});

/** Texts that come close to what the vocabulary takes. */
const near = fc.oneof(
  fc.string(),
  fc.stringMatching(/^(?:[a-z0-9]+[._/-]{0,2}){1,4}$/),
  fc.stringMatching(/^[a-zA-Z0-9_.-]{1,130}$/),
  fc.stringMatching(/^sha(?:256|512):[0-9a-fA-F]{63,65}$/),
  fc.stringMatching(/^sha512:[0-9a-f]{128}$/),
  fc.stringMatching(/^[0-9a-f]{64}$/),
  fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
);
const maps = fc.dictionary(fc.string({ maxLength: 8 }), fc.oneof(near, fc.integer()), { maxKeys: 70 });

const contract = new Contract();

describe("the published words mean what the program means by them", () => {
  test.each<[string, fc.Arbitrary<unknown>]>([
    ...["Digest", "RepositoryName", "Sha256", "State", "Tag", "Time"].map((name): [string, fc.Arbitrary<unknown>] => [name, near]),
    // Lengths count bytes in the program and characters where it is published: only texts that are far from them.
    ["ScannerMap", maps],
  ])("%s", (name, values) => {
    const schema = vocabulary[name] as z.ZodType;
    fc.assert(
      fc.property(values, (value) => {
        expect(contract.isA(name, value)).toBe(schema.safeParse(value).success);
      }),
    );
  });
});
