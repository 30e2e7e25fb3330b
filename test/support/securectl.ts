import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { run } from "../../src/cli/run.ts";

/** What a run of securectl left. */
export interface Ran {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  /** Does somebody sit before it? What they type. */
  readonly typed?: string;
}

/** Runs securectl in this process with an environment of its own, without a terminal unless somebody types. */
export async function runSecurectl(args: readonly string[], env: NodeJS.ProcessEnv, { typed }: RunOptions = {}): Promise<Ran> {
  const isTTY = typed !== undefined;
  const stdin = Object.assign(new PassThrough(), { isTTY });
  const [stdout, stderr] = [new PassThrough(), Object.assign(new PassThrough(), { isTTY })];
  const said = [text(stdout), text(stderr)] as const;
  stdin.end(typed);
  const exit = await run(args, { version: "1.2.3", env, streams: { stdin, stdout, stderr } });
  stdout.end();
  stderr.end();
  const [out, err] = await Promise.all(said);
  return { exit, out, err };
}
