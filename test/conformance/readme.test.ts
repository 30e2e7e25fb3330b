import { execFileSync, spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { asScript, shellBlocks } from "../../conformance/readme.ts";

const PAGE = "# One\n\n```sh\ntrue\n```\n\n## Two\n\n```json\n{}\n```\n\n```sh\necho a\necho b\n```\n";

test("shellBlocks finds the shell blocks of a page and the sections that they stand in", () => {
  expect(shellBlocks(PAGE)).toEqual([
    { section: "One", commands: "true" },
    { section: "Two", commands: "echo a\necho b" },
  ]);
});

test("asScript goes through commands that work, over continued lines, with a refusal where one is announced", () => {
  const script = asScript("echo a \\\n  b\nfalse   # refused: it says so\necho c");
  expect(execFileSync("bash", ["-c", script], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })).toBe("a b\nc\n");
});

test.each([
  ["a command fails", "false\necho later"],
  ["a command marked as refused works", "true # refused\necho later"],
  ["a part of a pipeline fails", "false | cat\necho later"],
])("asScript stops where %s", (_, commands) => {
  const { status, stdout } = spawnSync("bash", ["-c", asScript(commands)], { encoding: "utf8" });
  expect(status).not.toBe(0);
  expect(stdout).toBe("");
});
