import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { CLAUSES } from "../../conformance/clauses.ts";

const CHECKS = new Set(readFileSync("conformance/checks.txt", "utf8").trimEnd().split("\n"));

/** Where the text after `from` calls something with this title first, as `test("title", …)` and `test.each(…)("title", …)` do; -1 where nowhere. */
function callOf(text: string, title: string, from: number): number {
  const quoted = [`"${title}"`, `'${title}'`, `\`${title}\``].map((literal) => RegExp.escape(literal));
  const call = new RegExp(`\\(\\s*(?:${quoted.join("|")})\\s*,`, "g");
  call.lastIndex = from;
  const found = call.exec(text);
  const isSkipped = found !== null && /\.(?:skip|todo|skipIf\([^)]*\)|runIf\([^)]*\))$/.test(text.slice(0, found.index).trimEnd());
  return found === null || isSkipped ? -1 : found.index;
}

/** Does the file hold a test of this full title: those of its groups and its own, joined by ` > `? */
function holdsTest(file: string, fullTitle: string): boolean {
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  let at = 0;
  for (const title of fullTitle.split(" > ")) {
    at = callOf(text, title, at);
    if (at === -1) return false;
  }
  return true;
}

test.each(CLAUSES.map((row) => [`${row.section}: ${row.clause}`, row] as const))("%s is shown by tests that exist", (_, { shownBy }) => {
  expect(shownBy.length).toBeGreaterThan(0);
  const missing = shownBy.filter((proof) => ("suite" in proof ? !CHECKS.has(proof.suite) : !holdsTest(proof.test, proof.title)));
  expect(missing).toEqual([]);
});

test("a clause has one row", () => {
  const names = CLAUSES.map(({ section, clause }) => `${section}: ${clause}`);
  expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
});

test("a row that names a test which does not exist is found", () => {
  expect(holdsTest("test/conformance/clauses.test.ts", "a clause has one row")).toBe(true);
  expect(holdsTest("test/conformance/clauses.test.ts", `a clause has ${CLAUSES.length + 1} rows`)).toBe(false);
  expect(holdsTest("test/conformance/nowhere.test.ts", "a clause has one row")).toBe(false);
});
