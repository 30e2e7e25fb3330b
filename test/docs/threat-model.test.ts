import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

const PATH = "deploy/threat-model.md";
const PAGE = readFileSync(PATH, "utf8");
/** A row of a table of claims: what is claimed, and by what it is shown. */
const CLAIMS = PAGE.split("\n## ")
  .filter((section) => section.includes("| shown by"))
  .flatMap((section) => section.split("\n").filter((line) => line.startsWith("| ")))
  .map((line) => line.split(" | "))
  .filter(([claim = ""]) => !/^\| (?:claim|-+)/.test(claim))
  .map(([claim = "", shown = ""]) => ({ claim: claim.replace(/^\| /, "").trim(), shown }));
const SHOWN = /“([^”]+)” in \[[^\]]+\]\(([^)]+)\)/g;

test("the page makes claims", () => {
  expect(CLAIMS.length).toBeGreaterThan(20);
});

test.each(CLAIMS)("that $claim is shown by tests of that name", ({ shown }) => {
  const tests = [...shown.matchAll(SHOWN)].map(([, title = "", file = ""]) => ({ title, path: join(dirname(PATH), file) }));
  expect(tests.length).toBeGreaterThan(0);
  const missing = tests.filter(({ title, path }) => !existsSync(path) || !readFileSync(path, "utf8").includes(title));
  expect(missing).toEqual([]);
});
