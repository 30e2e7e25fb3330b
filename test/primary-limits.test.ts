import { pino } from "pino";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { DEFAULT_RATES } from "../src/limits/classes.ts";
import { type Bounds, DEFAULT_BOUNDS, LimitKeeper, answerOf, ownLimits } from "../src/limits/keeper.ts";
import type { Question } from "../src/limits/question.ts";
import { PrimaryLimits } from "../src/primary-limits.ts";

const BOUNDS: Bounds = { ...DEFAULT_BOUNDS, rates: { ...DEFAULT_RATES, mutate: { perSecond: 1, burst: 3 } } };
const WHO = { address: "10.0.0.1", identity: "a" };

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
afterEach(() => void vi.useRealTimers());

function workerOf(send: (number: number, question: Question) => void): PrimaryLimits {
  return new PrimaryLimits({ send, alone: ownLimits(BOUNDS, () => 0), log: pino({ level: "silent" }) });
}

test("workers are told what the primary knows of all of them", async () => {
  const primary = new LimitKeeper(BOUNDS, () => 0);
  const workers = [0, 1].map((at) =>
    workerOf((number, question) => {
      workers[at]?.answered(number, answerOf(primary.of(at), question));
    }),
  );
  const units: number[] = [];
  for (let turn = 0; turn < 4; turn += 1) units.push((await workers[turn % 2]?.take("mutate", WHO, 1))?.units ?? -1);
  expect(units).toEqual([1, 1, 1, 0]);
});

test("while the primary does not answer a worker waits a second once, and then goes on with its own share for a while", async () => {
  const sent: number[] = [];
  const worker = workerOf((number) => void sent.push(number));
  const first = worker.take("mutate", WHO, 1);
  await vi.advanceTimersByTimeAsync(1000);
  expect((await first).units).toBe(1);
  const more = await Promise.all([1, 2, 3].map(() => worker.take("mutate", WHO, 1)));
  expect(more.map(({ units }) => units)).toEqual([1, 1, 0]);
  expect(sent).toEqual([1]);
  await vi.advanceTimersByTimeAsync(5000);
  void worker.take("mutate", WHO, 1);
  expect(sent).toEqual([1, 2]);
});

test("an answer that comes too late is nobody's", async () => {
  const worker = workerOf(() => undefined);
  const asked = worker.take("mutate", WHO, 1);
  await vi.advanceTimersByTimeAsync(1000);
  await asked;
  expect(() => worker.answered(1, { units: 1, wait: 0, left: 0, fullIn: 0 })).not.toThrow();
});
