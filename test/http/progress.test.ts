import { PassThrough } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { guardedBody, paced } from "../../src/http/progress.ts";
import type { Door } from "../../src/http/route.ts";
import { SlowBodies } from "../../src/http/slow-bodies.ts";
import { type Edge, RawClient, startEdge } from "../support/edge.ts";

/** 1000 bytes a second, averaged over 300 ms. */
const PACE = { bytesPerSecond: 1000, windowMilliseconds: 300 };

async function read(source: AsyncIterable<Uint8Array>): Promise<number> {
  let size = 0;
  for await (const chunk of source) size += chunk.length;
  return size;
}

/** Time passes when a test says so, so that no body is late because the machine is slow. */
async function pass(milliseconds: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(milliseconds);
}

describe("a body", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] }));
  afterEach(() => void vi.useRealTimers());

  test("that keeps up the pace may take any number of windows", async () => {
    const source = new PassThrough();
    const reading = read(paced(source, PACE));
    for (let part = 0; part < 20; part += 1) {
      source.write(Buffer.alloc(1000));
      await pass(50);
    }
    source.end();
    expect(await reading).toBe(20_000);
  });

  test("that drips is refused as too slow, and nothing of ours hangs on the stream any more", async () => {
    const source = new PassThrough();
    const drip = setInterval(() => source.write("x"), 20);
    const reading = read(paced(source, PACE));
    const passing = pass(2 * PACE.windowMilliseconds);
    await expect(reading).rejects.toMatchObject({ code: "TOO_SLOW" });
    await passing;
    clearInterval(drip);
    expect(source.destroyed).toBe(false);
    for (const event of ["readable", "end", "close", "error"])
      expect(source.listenerCount(event)).toBe(new PassThrough().listenerCount(event));
  });

  test("is refused as soon as it is in arrears when too many from its address are, and another address's is not", async () => {
    const pace = { bytesPerSecond: 1000, windowMilliseconds: 2000, slow: new SlowBodies(1) };
    const order: string[] = [];
    const silent = async (address: string, name: string): Promise<void> => {
      await expect(
        read(paced(new PassThrough(), pace, { address, atStart: () => undefined, atEnd: async () => undefined })),
      ).rejects.toMatchObject({
        code: "TOO_SLOW",
      });
      order.push(name);
    };
    const all = Promise.all([silent("a", "first"), silent("a", "second"), silent("b", "elsewhere")]);
    await pass(2 * pace.windowMilliseconds);
    await all;
    expect(order[0]).toBe("second");
    expect([pace.slow.enter("a"), pace.slow.enter("a"), pace.slow.enter("b")]).toEqual([true, false, true]);
  });

  test("is not blamed for a reader that is slow", async () => {
    const source = new PassThrough();
    source.end(Buffer.alloc(10));
    let size = 0;
    for await (const chunk of paced(source, PACE)) {
      size += chunk.length;
      await pass(2 * PACE.windowMilliseconds);
    }
    expect(size).toBe(10);
  });

  test("may drip when any pace will do", async () => {
    const source = new PassThrough();
    const reading = read(paced(source, { ...PACE, bytesPerSecond: 0 }));
    await pass(2 * PACE.windowMilliseconds);
    source.end("x");
    expect(await reading).toBe(1);
  });

  test("that breaks off fails with what broke it, before and while it is read", async () => {
    for (const early of [true, false]) {
      const source = new PassThrough();
      if (early) source.on("error", () => undefined).destroy(new Error("gone"));
      const reading = read(paced(source, PACE));
      source.destroy(new Error("gone"));
      await expect(reading).rejects.toThrow("gone");
    }
    const source = new PassThrough();
    const reading = read(paced(source, PACE));
    source.destroy();
    await expect(reading).rejects.toThrow("broke off");
  });

  test("can be left before its end", async () => {
    const source = new PassThrough();
    source.write("some");
    for await (const chunk of paced(source, PACE)) {
      expect(chunk.length).toBe(4);
      break;
    }
    expect(source.destroyed).toBe(false);
    expect(source.listenerCount("readable")).toBe(0);
  });
});

const doors: Door[] = [
  { method: "PUT", path: "/v1/body", action: "open", handle: async (c) => c.text(String(await read(guardedBody(c)))) },
  { method: "GET", path: "/v1/ok", action: "open", handle: (c) => c.text("ok") },
];

let edge: Edge | undefined;
afterEach(async () => {
  await edge?.stop();
  edge = undefined;
});

describe("a client on a socket", () => {
  test("that drips its body gets 408 in words, and the connection ends", async () => {
    edge = await startEdge({ doors, pace: PACE });
    const client = new RawClient(edge.port);
    client.send("PUT /v1/body HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n");
    const drip = setInterval(() => client.send("x"), 20);
    const received = await client.closed;
    clearInterval(drip);
    expect(received).toMatch(/^HTTP\/1\.1 408 /);
    expect(received).toMatch(/\r\nConnection: close\r\n/i);
    expect(received).toContain('"code":"too_slow"');
  });

  test("that sends its body as fast as it can is served", async () => {
    edge = await startEdge({ doors });
    const answer = await fetch(`${edge.url}/v1/body`, { method: "PUT", body: Buffer.alloc(8 * 1024 * 1024) });
    expect(await answer.text()).toBe(String(8 * 1024 * 1024));
  });

  test("that hangs up in the middle of its body is no fault of the registry", async () => {
    const started = await startEdge({ doors });
    edge = started;
    const client = new RawClient(started.port);
    client.send("PUT /v1/body HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\nxxx");
    await fetch(`${started.url}/v1/ok`);
    client.destroy();
    await client.closed;
    while (!started.logged.some((line) => line["msg"] === "request ended early")) await sleep(5);
    expect(started.logged.filter((line) => line["msg"] === "request failed")).toEqual([]);
  });
});
