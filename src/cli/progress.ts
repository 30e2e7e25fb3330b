import { sizeText } from "./output.ts";
import type { Terminal } from "./terminal.ts";
import { visible } from "./visible.ts";

/** A line that tells how far something is; `done` takes it away. */
export interface StatusLine {
  readonly update: (text: () => string) => void;
  readonly done: () => void;
}

/** Shows how far a transfer has come; `done` ends it. */
export interface Progress {
  readonly update: (bytes: number) => void;
  readonly done: () => void;
}

const BAR_WIDTH = 24;
const REDRAW_MILLISECONDS = 100;
/** Where nobody watches a bar move, a line now and then tells that it does. */
const LINE_MILLISECONDS = 10_000;
const WAIT_MILLISECONDS = 1000;
const CLEAR_LINE = "\r\u001b[K";

/** A line on stderr: redrawn in place on a terminal, else a plain line every ten seconds; nothing when quiet. */
export function startStatusLine(terminal: Terminal): StatusLine {
  const { stderr } = terminal.streams;
  const onTerminal = stderr.isTTY === true;
  const interval = onTerminal ? REDRAW_MILLISECONDS : LINE_MILLISECONDS;
  let shownAt = onTerminal ? 0 : Date.now();
  const update = (text: () => string): void => {
    const now = Date.now();
    if (terminal.quiet || now - shownAt < interval) return;
    shownAt = now;
    const line = visible(text());
    stderr.write(onTerminal ? `${CLEAR_LINE}${line.slice(0, (stderr.columns ?? 80) - 1)}` : `${line}\n`);
  };
  const done = (): void => {
    if (onTerminal && !terminal.quiet) stderr.write(CLEAR_LINE);
  };
  return { update, done };
}

/** A progress bar of bytes. */
export function startProgress(terminal: Terminal, label: string, total: number): Progress {
  const { update, done } = startStatusLine(terminal);
  const began = Date.now();
  return { update: (bytes) => update(() => progressText({ label, bytes, total, seconds: (Date.now() - began) / 1000 })), done };
}

/** Waits for work of which nothing is known but that it goes on, and shows for how long. */
export async function whileWaiting<T>(terminal: Terminal, label: string, work: Promise<T>): Promise<T> {
  const { update, done } = startStatusLine(terminal);
  const began = Date.now();
  const timer = setInterval(() => update(() => `${label}: ${Math.round((Date.now() - began) / 1000)} s`), WAIT_MILLISECONDS);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    done();
  }
}

/** One line: bar, share, amount, rate and the time that is left at this rate. */
export function progressText({ label, bytes, total, seconds }: { label: string; bytes: number; total: number; seconds: number }): string {
  const share = total === 0 ? 1 : Math.min(1, bytes / total);
  const filled = Math.floor(share * BAR_WIDTH);
  const bar = "=".repeat(filled).padEnd(BAR_WIDTH);
  const rate = seconds > 0 ? bytes / seconds : 0;
  const left = rate > 0 ? `, ${Math.ceil((total - bytes) / rate)} s left` : "";
  const percent = `${Math.floor(share * 100)}%`.padStart(4);
  return `[${bar}] ${percent} ${sizeText(bytes)}/${sizeText(total)} ${sizeText(Math.round(rate))}/s${left} ${visible(label)}`;
}
