import { createInterface } from "node:readline/promises";
import type { Readable, Writable } from "node:stream";
import { visibleJson, visibleLines } from "./visible.ts";

/** The three streams of the process. */
export interface Streams {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable & { readonly isTTY?: boolean; readonly columns?: number };
}

/** Where commands write: data on stdout, messages on stderr. Nothing that others named reaches a terminal as a control sequence. */
export class Terminal {
  readonly streams: Streams;
  readonly quiet: boolean;

  constructor(streams: Streams, options: { readonly quiet?: boolean } = {}) {
    this.streams = streams;
    this.quiet = options.quiet ?? false;
  }

  /** Data as text. */
  print(text: string): void {
    this.streams.stdout.write(`${visibleLines(text)}\n`);
  }

  /** Data as one JSON document. */
  printJson(value: unknown): void {
    this.streams.stdout.write(`${visibleJson(value)}\n`);
  }

  /** A message; `--quiet` is without it. */
  say(message: string): void {
    if (!this.quiet) this.warn(message);
  }

  /** A message that is shown in any case. */
  warn(message: string): void {
    this.streams.stderr.write(`${visibleLines(message)}\n`);
  }

  /** Is there a person who can be asked? */
  get interactive(): boolean {
    return this.streams.stdin.isTTY === true && this.streams.stderr.isTTY === true;
  }

  /** Asks on stderr, so that a question never gets into piped data. */
  async ask(question: string): Promise<string> {
    const lines = createInterface({ input: this.streams.stdin, output: this.streams.stderr });
    try {
      return await lines.question(visibleLines(question));
    } finally {
      lines.close();
    }
  }
}
