import { readFileSync, readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { publishedSchemas } from "../../conformance/schemas.ts";

const PUBLISHED = publishedSchemas();

test("schemas/ holds what is generated and nothing else", () => {
  expect(readdirSync("schemas").toSorted()).toEqual([...PUBLISHED.keys()].toSorted());
});

test.each([...PUBLISHED])("schemas/%s is what `npm run schemas` writes", (file, text) => {
  expect(readFileSync(`schemas/${file}`, "utf8") === text, `schemas/${file} is out of date: run \`npm run schemas\``).toBe(true);
});
