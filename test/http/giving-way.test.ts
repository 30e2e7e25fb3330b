import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Arrivals, Turns, givingWay } from "../../src/http/giving-way.ts";
import type { Door } from "../../src/http/route.ts";
import { startEdge } from "../support/edge.ts";

const MEBIBYTE = 1024 * 1024;
const PIECE = 64 * 1024;
const BODY = 8 * MEBIBYTE;

const plain = (): undefined => undefined;

/** After how many bytes of a body it is somebody else's turn. */
function turnsOf(turns: Turns, size = BODY): readonly number[] {
  const over: number[] = [];
  for (let at = PIECE; at <= size; at += PIECE) if (turns.isOver(PIECE)) over.push(at);
  return over;
}

describe("a large body", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] }));
  afterEach(() => void vi.useRealTimers());

  test("gives way to nobody while nobody else asks, however many asked before", () => {
    const arrivals = new Arrivals();
    arrivals.note(plain);
    expect(turnsOf(new Turns(arrivals))).toEqual([]);
  });

  test("gives way every 256 KiB behind its first mebibyte once somebody else asks, and for a second", () => {
    const arrivals = new Arrivals();
    const turns = new Turns(arrivals);
    arrivals.note(plain);
    const expected = Array.from({ length: 29 }, (_, turn) => MEBIBYTE + turn * 4 * PIECE);
    expect(turnsOf(turns)).toEqual(expected);
    vi.advanceTimersByTime(999);
    expect(turnsOf(turns).length).toBe(32);
    vi.advanceTimersByTime(2);
    expect(turnsOf(turns)).toEqual([]);
    arrivals.note(plain);
    expect(turnsOf(turns).length).toBe(32);
  });

  test("counts as many when ten come in a second, or came in the one before, and no more soon after", () => {
    const arrivals = new Arrivals();
    expect(arrivals.areMany()).toBe(false);
    for (let asked = 1; asked <= 10; asked += 1) {
      arrivals.note(plain);
      expect(arrivals.areMany()).toBe(asked === 10);
      vi.advanceTimersByTime(50);
    }
    vi.advanceTimersByTime(600);
    arrivals.note(plain);
    expect(arrivals.areMany()).toBe(true);
    vi.advanceTimersByTime(1100);
    expect(arrivals.areMany()).toBe(false);
    for (let second = 0; second < 10; second += 1) {
      for (let asked = 0; asked < 4; asked += 1) arrivals.note(plain);
      expect(arrivals.areMany()).toBe(false);
      vi.advanceTimersByTime(1000);
    }
  });

  test("is not given way to by another one", () => {
    const arrivals = new Arrivals();
    const turns = new Turns(arrivals);
    arrivals.note((name) => (name === "content-length" ? String(BODY) : undefined));
    arrivals.note((name) => (name === "transfer-encoding" ? "chunked" : undefined));
    expect(turnsOf(turns)).toEqual([]);
    arrivals.note((name) => (name === "content-length" ? "100" : undefined));
    expect(turnsOf(turns).length).toBeGreaterThan(0);
  });
});

/** A body that is there as soon as it is asked for. */
function quickBody(): Readable {
  let left = BODY;
  return new Readable({
    highWaterMark: PIECE,
    read() {
      this.push(left > 0 ? Buffer.alloc(PIECE) : null);
      left -= PIECE;
    },
  });
}

/** How often others had a turn while such a body was read, beside whom `asks` somebody for something. */
async function othersBeside(asks: boolean): Promise<number> {
  const arrivals = new Arrivals();
  let [turns, size, isOver] = [0, 0, false];
  const other = (): void => {
    turns += 1;
    if (!isOver) setImmediate(other);
  };
  setImmediate(other);
  for await (const piece of givingWay(quickBody(), arrivals)) {
    if (asks) arrivals.note(plain);
    size += piece.length;
  }
  isOver = true;
  expect(size).toBe(BODY);
  return turns;
}

test("others have their turns while a large body is read, when there are others", async () => {
  expect(await othersBeside(false)).toBeLessThanOrEqual(2);
  expect(await othersBeside(true)).toBeGreaterThanOrEqual(28);
});

test("every request counts as one that others give way to, but for those with large bodies", async () => {
  const doors: Door[] = [
    { method: "GET", path: "/v1/count", action: "open", handle: (c) => c.text(String(c.get("arrivals").count)) },
    { method: "PUT", path: "/v1/count", action: "open", handle: (c) => c.text(String(c.get("arrivals").count)) },
  ];
  const edge = await startEdge({ doors });
  try {
    const count = async (init?: RequestInit): Promise<number> => Number(await (await fetch(`${edge.url}/v1/count`, init)).text());
    expect(await count()).toBe(1);
    expect(await count({ method: "PUT", body: Buffer.alloc(2 * MEBIBYTE) })).toBe(1);
    expect(await count({ method: "PUT", body: "small" })).toBe(2);
    expect(await count()).toBe(3);
  } finally {
    await edge.stop();
  }
});
