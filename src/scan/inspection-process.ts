import { writeSync } from "node:fs";
import { FormatError } from "../formats/format-error.ts";
import { factsOf, readModelFile } from "../formats/model-facts.ts";
import type { Answer } from "./answer.ts";
import { FileSource, ReadError } from "./file-source.ts";

/*
 * A process of its own that reads one file from others and answers on standard output. It blocks, and does not listen: whoever started it
 * ends it when it takes too long. It writes from time to time, so that it ends by itself when nobody reads that any more.
 */

const OUTPUT = 1;
const FILE = 3;

/** The longest reason that is taken. */
const MAX_REASON = 1_024;

function main(): void {
  const result = attempt(() => facts(process.argv[3] ?? ""));
  writeLine({ peak: process.resourceUsage().maxRSS * 1024, result });
}

function attempt(work: () => Answer): Answer {
  try {
    return work();
  } catch (error) {
    if (error instanceof FormatError) return { answer: "unreadable", reason: error.message.slice(0, MAX_REASON) };
    if (error instanceof ReadError) return { answer: "failed", reason: error.message };
    throw error;
  }
}

function facts(name: string): Answer {
  const source = new FileSource(FILE, (progress) => writeLine({ progress }));
  const found = factsOf(readModelFile(source, name));
  source.checkUnchanged();
  return { answer: "facts", facts: found };
}

function writeLine(value: unknown): void {
  const bytes = Buffer.from(`${JSON.stringify(value)}\n`);
  for (let done = 0; done < bytes.length;) done += writeSync(OUTPUT, bytes, done);
}

main();
