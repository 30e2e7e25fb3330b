import { expect, test } from "vitest";
import { Slots } from "../../src/scan/slots.ts";

/** Work that ends when it is told to. */
function held(): { readonly work: () => Promise<string>; readonly end: (result: string) => void; readonly started: () => boolean } {
  const { promise, resolve } = Promise.withResolvers<string>();
  let begun = false;
  const work = (): Promise<string> => {
    begun = true;
    return promise;
  };
  return { work, end: resolve, started: () => begun };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("no more than so many run at a time, and the others in the order in which they came", async () => {
  const slots = new Slots(2);
  const works = Array.from({ length: 5 }, held);
  const results = works.map(({ work }) => slots.run(work));
  await settle();
  expect(works.map(({ started }) => started())).toEqual([true, true, false, false, false]);
  works[1]?.end("second");
  expect(await results[1]).toBe("second");
  await settle();
  expect(works.map(({ started }) => started())).toEqual([true, true, true, false, false]);
  for (const { end } of works) end("done");
  expect(await Promise.all(results)).toEqual(["done", "second", "done", "done", "done"]);
});

test("work that fails frees its place", async () => {
  const slots = new Slots(1);
  const failing = slots.run(() => Promise.reject(new Error("no")));
  const next = slots.run(() => Promise.resolve("next"));
  await expect(failing).rejects.toThrow("no");
  expect(await next).toBe("next");
});

test("who gives up while waiting is not served, and takes no place", async () => {
  const slots = new Slots(1);
  const [running, given] = [held(), held()];
  const first = slots.run(running.work);
  const abort = new AbortController();
  const second = slots.run(given.work, abort.signal);
  const third = slots.run(() => Promise.resolve("third"));
  abort.abort(new Error("given up"));
  await expect(second).rejects.toThrow("given up");
  running.end("first");
  expect(await Promise.all([first, third])).toEqual(["first", "third"]);
  expect(given.started()).toBe(false);
});

test("who has given up before is not served", async () => {
  const work = held();
  await expect(new Slots(1).run(work.work, AbortSignal.abort(new Error("before")))).rejects.toThrow("before");
  expect(work.started()).toBe(false);
});

test("who gives up in the moment in which its turn comes is not served, and the turn is the next one's", async () => {
  const slots = new Slots(1);
  const [running, given] = [held(), held()];
  const abort = new AbortController();
  const first = slots.run(running.work);
  const second = slots.run(given.work, abort.signal);
  const others = ["third", "fourth"].map((result) => slots.run(() => Promise.resolve(result)));
  // Told of its end before the turn that this gives has reached the second.
  void first.then(() => abort.abort(new Error("given up")));
  running.end("first");
  await expect(second).rejects.toThrow("given up");
  expect(await Promise.all(others)).toEqual(["third", "fourth"]);
  expect(given.started()).toBe(false);
});
