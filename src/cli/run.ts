import { CommanderError } from "commander";
import { CliError, EXIT } from "./failure.ts";
import { createProgram } from "./program.ts";
import { type GlobalOptions, Session } from "./session.ts";
import { type Streams, Terminal } from "./terminal.ts";

/** What a run has around it. */
export interface Surroundings {
  readonly version: string;
  readonly env: NodeJS.ProcessEnv;
  readonly streams: Streams;
}

/** Runs the command that the arguments name; its exit code. Errors are told on stderr, here and nowhere else. */
export async function run(argv: readonly string[], { version, env, streams }: Surroundings): Promise<number> {
  const program = createProgram(version, streams, (command) => new Session(command.optsWithGlobals<GlobalOptions>(), env, streams));
  try {
    if (argv.length === 0) {
      program.outputHelp({ error: true });
      return EXIT.usage;
    }
    await program.parseAsync(argv, { from: "user" });
    return EXIT.ok;
  } catch (error) {
    // Commander has said it already; help and the version are no errors.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    new Terminal(streams).warn(`error: ${error instanceof Error ? error.message : String(error)}`);
    return error instanceof CliError ? error.exit : EXIT.failure;
  }
}
