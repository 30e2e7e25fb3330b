import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { shellBlocks } from "../../conformance/readme.ts";
import { settingsTable } from "../../src/settings.ts";

const README = readFileSync("README.md", "utf8");

/** The rows of the table below a heading, each as its cells, without the quotes of code. */
function tableOf(section: string): readonly (readonly string[])[] {
  const text = README.split(`\n## ${section}\n`)[1]?.split("\n## ")[0] ?? "";
  const rows = text.split("\n").filter((line) => line.startsWith("|"));
  return rows.slice(2).map((row) =>
    row
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const unquoted = (cell = ""): string => cell.replace(/^`(.*)`$/, "$1");

test("the table of settings is the schema's, row by row", () => {
  const shown = tableOf("Settings").map(([name, fallback, meaning]) => ({ name: unquoted(name), fallback: unquoted(fallback), meaning }));
  expect(shown).toEqual(settingsTable());
});

test("every npm script that the page names exists", () => {
  const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> };
  const named = [...README.matchAll(/npm run ([\w-]+)/g)].map(([, name = ""]) => name);
  expect(named.length).toBeGreaterThan(0);
  expect(named.filter((name) => !(name in scripts))).toEqual([]);
});

test("every file that the page links to exists", () => {
  const linked = [...README.matchAll(/\]\(([^)#:]+)\)/g)].map(([, file = ""]) => file);
  expect(linked.length).toBeGreaterThan(0);
  expect(linked.filter((file) => !existsSync(file))).toEqual([]);
});

test("the quick start begins with the start of the server and goes on in a second terminal", () => {
  const blocks = shellBlocks(README).filter(({ section }) => section === "Quick start");
  expect(blocks.map(({ commands }) => commands.split("\n")[0])).toEqual(["npm ci && npm start", "# A publisher pushes a model."]);
});
