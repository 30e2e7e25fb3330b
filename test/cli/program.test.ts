import { PassThrough } from "node:stream";
import type { Command } from "commander";
import { expect, test } from "vitest";
import { createProgram } from "../../src/cli/program.ts";
import { run } from "../../src/cli/run.ts";

const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() };
const program = createProgram("1.0.0", streams, () => {
  throw new Error("help opens no session");
});

/** Everything that can be called, by the words that call it. */
function leaves(command: Command, path: readonly string[] = []): readonly (readonly [string, Command])[] {
  const here = [...path, command.name()];
  const below = command.commands.flatMap((each) => leaves(each, here));
  return command.commands.length === 0 || command.name() === "audit" ? [[here.join(" "), command], ...below] : below;
}

const all = leaves(program);

test("the names that scripts rely on are there", () => {
  const names = program.commands.flatMap((command) => [command.name(), ...command.aliases()]);
  expect(names).toEqual(
    expect.arrayContaining(
      "push pull list ls info discover evaluate promote quarantine revoke delete rm history tag audit key namespace status approve completion path verify verify-all verify-manifest acquire doctor".split(
        " ",
      ),
    ),
  );
});

test.each(all)("%s says what it does in a line and in a sentence", (_, command) => {
  expect(command.summary()).not.toBe("");
  expect(command.description()).toMatch(/\.$/);
});

test.each(program.commands.map((command) => [command.name(), command] as const))("the help of %s has an example", (name, command) => {
  let help = "";
  command.configureOutput({ writeOut: (text) => (help += text) });
  command.outputHelp();
  expect(help).toContain(`securectl ${name}`);
  expect(help).toMatch(/Examples?:/);
});

test.each([["--\u001b]0;x\u0007"], ["pu\u001b[2Jll"], ["pull", "a", "b\u009b"], ["pull", "a", "--\u202e"]])(
  "what is refused of %j is shown and not obeyed",
  async (...argv) => {
    const stderr = new PassThrough();
    expect(await run(argv, { version: "1.0.0", env: {}, streams: { ...streams, stderr } })).toBe(2);
    const said = stderr.read() as Buffer;
    expect(said.toString()).toMatch(/^error: /);
    expect(said.toString()).toContain("\\u{");
    expect(said.toString().replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  },
);

const DESTRUCTIVE = ["revoke", "delete", "tag rollback", "tag remove", "key revoke"];

test.each(DESTRUCTIVE)("%s can be told not to ask", (name) => {
  const command = all.find(([words]) => words === `securectl ${name}`)?.[1];
  expect(command?.options.map(({ long }) => long)).toContain("--yes");
});
