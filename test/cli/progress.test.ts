import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { progressText, startProgress } from "../../src/cli/progress.ts";
import { Terminal } from "../../src/cli/terminal.ts";

test("a line tells share, amount, rate and the time that is left", () => {
  expect(progressText({ label: "w.gguf", bytes: 512 * 1024, total: 1024 * 1024, seconds: 2 })).toBe(
    "[============            ]  50% 512.0 KB/1.0 MB 256.0 KB/s, 2 s left w.gguf",
  );
});

test("nothing is whole, and nothing sent has no end in sight", () => {
  expect(progressText({ label: "empty", bytes: 0, total: 0, seconds: 0 })).toContain("100%");
  expect(progressText({ label: "x", bytes: 0, total: 10, seconds: 5 })).not.toContain("left");
});

function terminalOf(
  isTTY: boolean,
  quiet = false,
): { readonly terminal: Terminal; readonly said: Promise<string>; readonly end: () => void } {
  const stderr = Object.assign(new PassThrough(), { isTTY, columns: 40 });
  const terminal = new Terminal({ stdin: new PassThrough(), stdout: new PassThrough(), stderr }, { quiet });
  return { terminal, said: text(stderr), end: () => stderr.end() };
}

test("on a terminal the bar is redrawn in one line that fits, and wiped at the end", async () => {
  const { terminal, said, end } = terminalOf(true);
  const progress = startProgress(terminal, "a-name-that-is-too-long-for-the-line\u001b[31m", 100);
  progress.update(50);
  progress.done();
  end();
  const parts = (await said).split("\r\u001b[K");
  expect(parts).toHaveLength(3);
  expect(parts[1]).toMatch(/^\[=+ +\] {2}50%/);
  expect(parts[1]?.length).toBeLessThan(40);
});

test("without a terminal a transfer that is quickly done says nothing", async () => {
  const { terminal, said, end } = terminalOf(false);
  const progress = startProgress(terminal, "x", 100);
  progress.update(50);
  progress.done();
  end();
  expect(await said).toBe("");
});

test("quiet is quiet, on a terminal too", async () => {
  const { terminal, said, end } = terminalOf(true, true);
  const progress = startProgress(terminal, "x", 100);
  progress.update(50);
  progress.done();
  end();
  expect(await said).toBe("");
});
