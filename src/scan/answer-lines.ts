import { StringDecoder } from "node:string_decoder";
import type { z } from "zod";
import { lineSchema } from "./answer.ts";

/** In bytes. */
const MAX_ANSWER = 4 * 1024 * 1024;

type Line = z.infer<typeof lineSchema>;

/** Takes the lines that a process writes apart. It may be in the hands of whoever made the file: neither length nor form is believed. */
export class AnswerLines {
  readonly #progress: ((bytes: number) => void) | undefined;
  readonly #decoder = new StringDecoder("utf8");
  #bytes = 0;
  #rest = "";
  /** The line with the answer, behind which nothing may follow. */
  last: Extract<Line, { readonly result: unknown }> | undefined;

  constructor(progress: ((bytes: number) => void) | undefined) {
    this.#progress = progress;
  }

  /** Takes the next bytes. False when they are more than was asked for, or something else. */
  add(chunk: Buffer): boolean {
    this.#bytes += chunk.length;
    if (this.#bytes > MAX_ANSWER || this.last !== undefined) return false;
    const lines = (this.#rest + this.#decoder.write(chunk)).split("\n");
    this.#rest = lines.pop() ?? "";
    return lines.every((line) => this.#line(line)) && (this.last === undefined || this.#rest === "");
  }

  #line(text: string): boolean {
    const line = parseLine(text);
    if (line === undefined || this.last !== undefined) return false;
    if ("progress" in line) this.#progress?.(line.progress);
    else this.last = line;
    return true;
  }
}

function parseLine(text: string): Line | undefined {
  try {
    return lineSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
