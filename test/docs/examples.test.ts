import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Contract } from "../support/contract.ts";

const PAGES = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs/programs.md"];
/** What is shown as JSON, and the operation that a comment before it names. */
const EXAMPLE = /(?:<!-- example: (\w+) -->\s+)?```json\n([^]*?)```/g;

const examples = PAGES.flatMap((page) =>
  [...readFileSync(page, "utf8").matchAll(EXAMPLE)].map(([, operation = "", text = ""]) => ({ page, operation, text })),
);

test("the documentation shows an example", () => {
  expect(examples.length).toBeGreaterThan(0);
});

test.each(examples)("the example of $operation in $page is what the operation takes", ({ operation, text }) => {
  expect(new Contract().takes(operation, JSON.parse(text))).toBe(true);
});
