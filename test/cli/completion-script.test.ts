import { execFile } from "node:child_process";
import { PassThrough } from "node:stream";
import { promisify } from "node:util";
import type { Command } from "commander";
import { expect, test, vi } from "vitest";
import { completionScript } from "../../src/cli/completion-script.ts";
import { createProgram } from "../../src/cli/program.ts";

// A shell takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() };
const program = createProgram("1.0.0", streams, () => {
  throw new Error("completion opens no session");
});

/** What bash would offer for a line whose last word is being typed. */
async function offered(...words: readonly string[]): Promise<readonly string[]> {
  const script = `${completionScript(program, "bash")}
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_securectl
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await promisify(execFile)("bash", ["-c", script, "bash", ...words]);
  return stdout.split("\n").filter((line) => line !== "");
}

test("bash offers the commands, and the options that every command has", async () => {
  expect(await offered("securectl", "")).toEqual(expect.arrayContaining(["push", "audit", "completion", "--json", "--token-file"]));
  expect(await offered("securectl", "pu")).toEqual(["push", "pull"]);
});

test("bash offers a command's own options and subcommands", async () => {
  expect(await offered("securectl", "revoke", "--per")).toEqual(["--permanent"]);
  expect(await offered("securectl", "key", "")).toEqual(expect.arrayContaining(["create", "list", "rotate", "revoke"]));
  expect(await offered("securectl", "key", "create", "--ro")).toEqual(["--role"]);
  expect(await offered("securectl", "verify")).toEqual(["verify", "verify-manifest", "verify-all", "verify-layout"]);
  expect(await offered("securectl", "verify-all", "--det")).toEqual(["--detach"]);
  expect(await offered("securectl", "acquire", "a name", "file.gguf", "--s")).toEqual(["--sha256", "--size", "--source", "--server"]);
});

test("bash finds its place behind arguments and options", async () => {
  expect(await offered("securectl", "--json", "promote", "models/x:v1", "--exp")).toEqual(["--expected"]);
});

test.each(["bash", "zsh", "fish"] as const)("every command and option of the tree is in the script for %s", (shell) => {
  const script = completionScript(program, shell);
  const walk = (command: Command): string[] => [
    ...command.commands.flatMap((each) => [each.name(), ...walk(each)]),
    ...command
      .createHelp()
      .visibleOptions(command)
      .flatMap(({ long }) => long?.replace("--", "") ?? []),
  ];
  const missing = [...new Set(walk(program))].filter((word) => !script.includes(word));
  expect(missing).toEqual([]);
});
