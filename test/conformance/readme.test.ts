import { execFileSync, spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { asScript, refusalsIn, shellBlocks } from "../../conformance/readme.ts";

const PAGE = "# One\n\n```sh\ntrue\n```\n\n## Two\n\n```json\n{}\n```\n\n```sh\necho a\necho b\n```\n";

test("shellBlocks finds the shell blocks of a page and the sections that they stand in", () => {
  expect(shellBlocks(PAGE)).toEqual([
    { section: "One", commands: "true" },
    { section: "Two", commands: "echo a\necho b" },
  ]);
});

test("asScript goes through commands that work, over continued lines, with a refusal where one is announced", () => {
  const script = asScript("echo a \\\n  b\nls /no/such   # refused: no such file, as it must\nfalse # refused\necho c");
  expect(execFileSync("bash", ["-c", script], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })).toBe("a b\nc\n");
});

test.each([
  ["a command fails", "false\necho later"],
  ["a command marked as refused works", "true # refused\necho later"],
  ["a refusal comes in other words", "ls /no/such # refused: permission denied\necho later"],
  ["only the command itself has the words of a refusal", "eval 'exit 3' denied # refused: denied\necho later"],
  ["a part of a pipeline fails", "false | cat\necho later"],
])("asScript stops where %s", (_, commands) => {
  const { status, stdout } = spawnSync("bash", ["-c", asScript(commands)], { encoding: "utf8" });
  expect(status).not.toBe(0);
  expect(stdout).toBe("");
});

test("refusalsIn tells the announced words, without what explains them", () => {
  expect(refusalsIn("a # refused: not found\nb\nc \\\n  d # refused: denied, with the reason")).toEqual(["not found", "denied"]);
});
