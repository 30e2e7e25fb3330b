import { existsSync, readFileSync, readdirSync } from "node:fs";
import { expect, test } from "vitest";

const PAGE = readFileSync("ARCHITECTURE.md", "utf8");
/** What looks like a path: it has a folder, or is a source file. */
const PATHS = [...PAGE.matchAll(/`((?:\.?[\w-]+\/)+[\w.-]*|[\w-]+\.ts)`/g)].map(([, path = ""]) => path);

test("every path that the page names exists", () => {
  expect(PATHS.length).toBeGreaterThan(30);
  const missing = PATHS.filter((path) => path !== "trusted/" && !existsSync(path) && !existsSync(`src/${path}`));
  expect([...new Set(missing)]).toEqual([]);
});

test("every folder and root file of src/ is on the map", () => {
  const entries = readdirSync("src", { withFileTypes: true }).map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name));
  expect(entries.filter((entry) => !PATHS.includes(entry))).toEqual([]);
});
