import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { shellBlocks } from "../../conformance/readme.ts";
import { settingsTable } from "../../src/settings.ts";

const PAGES = ["README.md", "ARCHITECTURE.md", ...globSync("{docs,deploy,src}/**/*.md")].toSorted();

/** The rows of the table of a page that has one, each as its cells, without the quotes of code. */
function tableOf(page: string): readonly (readonly string[])[] {
  const rows = readFileSync(page, "utf8")
    .split("\n")
    .filter((line) => line.startsWith("|"));
  return rows.slice(2).map((row) =>
    row
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const unquoted = (cell = ""): string => cell.replace(/^`(.*)`$/, "$1");

test("the table of settings is the schema's, row by row", () => {
  const shown = tableOf("docs/settings.md").map(([name, fallback, meaning]) => ({
    name: unquoted(name),
    fallback: unquoted(fallback),
    meaning,
  }));
  expect(shown).toEqual(settingsTable());
});

/** The npm scripts that a page names. */
function namedIn(page: string): string[] {
  return [...readFileSync(page, "utf8").matchAll(/npm run ([\w-]+)/g)].map(([, name = ""]) => name);
}

test("every npm script that a page names exists, and the page of development names every one that is run in development", () => {
  const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> };
  expect(PAGES.flatMap(namedIn).filter((name) => !(name in scripts))).toEqual([]);
  const conformance = Object.keys(scripts).filter((name) => scripts[name]?.startsWith("node conformance/"));
  const named = new Set(namedIn("docs/development.md"));
  expect(conformance.filter((name) => !named.has(name))).toEqual([]);
});

test.each(PAGES)("every file that %s links to exists", (page) => {
  const linked = [...readFileSync(page, "utf8").matchAll(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g)].map(([, file = ""]) => file);
  expect(linked.filter((file) => !existsSync(join(dirname(page), file)))).toEqual([]);
});

test("the quick start begins with the start of the server and goes on in a second terminal", () => {
  const blocks = shellBlocks(readFileSync("README.md", "utf8")).filter(({ section }) => section === "Quick start");
  expect(blocks.map(({ commands }) => commands.split("\n")[0])).toEqual(["npm ci && npm start", "# A publisher pushes a model."]);
});
