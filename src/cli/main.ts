#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { CommanderError } from "commander";
import { z } from "zod";
import { removeTemporaries } from "./download.ts";
import { CliError, EXIT } from "./failure.ts";
import { createProgram } from "./program.ts";
import { type GlobalOptions, Session } from "./session.ts";
import { Terminal } from "./terminal.ts";

const streams = { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr };

/** Runs a command; the exit code of the process. */
async function run(argv: readonly string[]): Promise<number> {
  const program = createProgram(version(), streams, (command) => {
    return new Session(command.optsWithGlobals<GlobalOptions>(), process.env, streams);
  });
  try {
    if (argv.length === 0) {
      program.outputHelp({ error: true });
      return EXIT.usage;
    }
    await program.parseAsync(argv, { from: "user" });
    return EXIT.ok;
  } catch (error) {
    return exitFor(error);
  }
}

function version(): string {
  const content: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return z.object({ version: z.string() }).parse(content).version;
}

function exitFor(error: unknown): number {
  // Commander has said it already; help and the version are no errors.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  new Terminal(streams).warn(`error: ${error instanceof Error ? error.message : String(error)}`);
  return error instanceof CliError ? error.exit : EXIT.failure;
}

// Whoever reads only the first lines of a list closes the pipe, and that is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.failure));
for (const [signal, number] of [
  ["SIGINT", 2],
  ["SIGTERM", 15],
] as const) {
  process.once(signal, () => {
    removeTemporaries();
    process.exit(128 + number);
  });
}
process.exitCode = await run(process.argv.slice(2));
