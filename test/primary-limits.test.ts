import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { DEFAULT_RATES } from "../src/limits/classes.ts";
import { type Bounds, DEFAULT_BOUNDS, LimitKeeper, answerOf, ownLimits } from "../src/limits/keeper.ts";
import type { Limits } from "../src/limits/limits.ts";
import type { Question } from "../src/limits/question.ts";
import { PrimaryLimits } from "../src/primary-limits.ts";

const BOUNDS: Bounds = { ...DEFAULT_BOUNDS, rates: { ...DEFAULT_RATES, mutate: { perSecond: 1, burst: 3 } } };
const WHO = { address: "10.0.0.1", identity: "a" };

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
afterEach(() => void vi.useRealTimers());

function workerOf(send: (number: number, question: Question) => void, alone: Limits = ownLimits(BOUNDS, () => 0)): PrimaryLimits {
  return new PrimaryLimits({ send, alone, log: pino({ level: "silent" }) });
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

interface Stalled {
  readonly worker: PrimaryLimits;
  readonly primary: LimitKeeper;
  readonly alone: Limits;
  readonly goOn: () => void;
}

/** A worker whose primary stands still until it is let go on. */
function stalled(bounds: Bounds): Stalled {
  const alone = ownLimits(bounds, () => 0);
  const primary = new LimitKeeper(bounds, () => 0, 2);
  const waiting: (readonly [number, Question])[] = [];
  let isStalled = true;
  const receive = (number: number, question: Question): void => {
    const answer = answerOf(primary.of(0), question);
    if (number > 0) worker.answered(number, answer);
  };
  const worker = workerOf((number, question) => {
    if (isStalled) waiting.push([number, question]);
    else receive(number, question);
  }, alone);
  const goOn = (): void => {
    isStalled = false;
    for (const one of waiting.splice(0)) receive(...one);
  };
  return { worker, primary, alone, goOn };
}

/** Lets so much time pass that nobody waits any more. */
async function late<T>(asked: T | Promise<T>): Promise<T> {
  await vi.advanceTimersByTimeAsync(1000);
  return asked;
}

describe("what the primary grants when its worker waits no more", () => {
  const claim = { upload: "u", namespace: "team", identity: "a", bytes: 60, left: 100, open: null };

  test("is given back, when it is a connection, once", async () => {
    const { worker, goOn, primary } = stalled({ ...BOUNDS, connections: { perAddress: 5, inAll: 10 } });
    const asked = [worker.connect("a"), worker.connect("a")];
    expect(await late(Promise.all(asked))).toEqual([undefined, undefined]);
    goOn();
    // Of five each process has one for itself.
    expect(Array.from({ length: 4 }, () => primary.of(1).connect("a"))).toEqual([true, true, true, false]);
    worker.answered(1, true);
    expect(primary.of(1).connect("a")).toBe(false);
  });

  test("is given back, when it is a turn that this process did not take alone", async () => {
    const { worker, goOn, primary, alone } = stalled(BOUNDS);
    await alone.begin("export");
    expect(await late(worker.begin("export"))).toBe(false);
    goOn();
    expect(primary.of(1).begin("export")).toBe(true);
  });

  test("stays until the work is done, when this process took it alone", async () => {
    const { worker, goOn, primary } = stalled(BOUNDS);
    expect(await late(worker.begin("export"))).toBe(true);
    goOn();
    expect(primary.of(1).begin("export")).toBe(false);
    worker.done("export");
    expect(primary.of(1).begin("export")).toBe(true);
  });

  test.each(["admit", "arrive"] as const)("is given back, when it is the room of an upload: %s", async (ask) => {
    const { worker, goOn, primary, alone } = stalled({ ...BOUNDS, uploads: { perIdentity: 1, inAll: 9 } });
    await alone.admit({ ...claim, upload: "before" });
    expect(await late(worker[ask](claim))).toBe("bytes");
    goOn();
    expect(primary.of(1).admit({ ...claim, upload: "after", bytes: ask === "admit" ? 100 : 40 })).toBe("admitted");
  });
});
