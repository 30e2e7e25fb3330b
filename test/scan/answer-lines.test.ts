import { expect, test } from "vitest";
import { AnswerLines } from "../../src/scan/answer-lines.ts";

const PEAK = { peak: 1, result: { answer: "unreadable", reason: "why, ä €" } };
const LAST = `${JSON.stringify(PEAK)}\n`;

function linesOf(...chunks: readonly (string | Uint8Array)[]): { taken: boolean; progress: number[]; last: AnswerLines["last"] } {
  const progress: number[] = [];
  const lines = new AnswerLines((bytes) => progress.push(bytes));
  const taken = chunks.every((chunk) => lines.add(Buffer.from(chunk)));
  return { taken, progress, last: lines.last };
}

test("progress and an answer are taken, wherever they are cut", () => {
  const bytes = Buffer.from(`{"progress":1}\n{"progress":2}\n${LAST}`);
  for (let size = 1; size <= bytes.length; size += 1) {
    const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) => bytes.subarray(at * size, (at + 1) * size));
    expect(linesOf(...chunks)).toEqual({ taken: true, progress: [1, 2], last: PEAK });
  }
});

test.each([
  ["what is not JSON", "hello\n"],
  ["an empty line", "\n"],
  ["another value", "[1]\n"],
  ["progress that is no number", '{"progress":"1"}\n'],
  ["negative progress", '{"progress":-1}\n'],
  ["progress with something beside it", '{"progress":1,"more":1}\n'],
  ["an answer that is none", '{"peak":1,"result":{"answer":"shell"}}\n'],
  ["an answer with something beside it", `{"peak":1,"result":{"answer":"generated","more":1}}\n`],
  ["an answer with a member of an object's birth", `{"peak":1,"result":{"answer":"generated","__proto__":{}}}\n`],
  [
    "facts of a format that is not known",
    '{"peak":1,"result":{"answer":"facts","facts":{"format":"exe","parameters":1,"tensorCount":1,"suspicions":[]}}}\n',
  ],
  ["a reason without end", `{"peak":1,"result":{"answer":"unreadable","reason":"${"x".repeat(1_025)}"}}\n`],
  ["two answers", LAST + LAST],
  ["something behind the answer", `${LAST}x`],
  ["progress behind the answer", `${LAST}{"progress":1}\n`],
])("%s is not taken", (_, text) => {
  expect(linesOf(text).taken).toBe(false);
});

test("no more than 4 MiB are taken, in lines or without an end", () => {
  const mebibyte = "x".repeat(1024 * 1024);
  expect(linesOf(mebibyte, mebibyte, mebibyte, mebibyte).taken).toBe(true);
  expect(linesOf(mebibyte, mebibyte, mebibyte, mebibyte, "x").taken).toBe(false);
  expect(linesOf(...Array.from({ length: 5 }, () => '{"progress":1}\n'.repeat(70_000))).taken).toBe(false);
});
