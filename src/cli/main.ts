#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { z } from "zod";
import { removeTemporaries } from "./temporaries.ts";
import { EXIT } from "./failure.ts";
import { run } from "./run.ts";

const SIGNALS = [
  ["SIGINT", 2],
  ["SIGTERM", 15],
] as const;

function version(): string {
  const content: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return z.object({ version: z.string() }).parse(content).version;
}

// Whoever reads only the first lines of a list closes the pipe, and that is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.failure));
for (const [signal, number] of SIGNALS) {
  process.once(signal, () => {
    removeTemporaries();
    process.exit(128 + number);
  });
}
const { env, stdin, stdout, stderr } = process;
process.exitCode = await run(process.argv.slice(2), { version: version(), env, streams: { stdin, stdout, stderr } });
