import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { SharedWork, type Terms } from "../../src/registry/verify-sharing.ts";

/** Work that goes on until the test ends it, and what it was told. */
class Held {
  readonly terms: Terms[] = [];
  readonly ends: PromiseWithResolvers<string>[] = [];

  readonly work = (terms: Terms): Promise<string> => {
    this.terms.push(terms);
    const end = Promise.withResolvers<string>();
    this.ends.push(end);
    terms.signal.addEventListener("abort", () => end.reject(terms.signal.reason));
    return end.promise;
  };
}

const reason = new Error("lost patience");

describe("shared work", () => {
  let shared: SharedWork<string, string>;
  let held: Held;
  beforeEach(() => {
    shared = new SharedWork();
    held = new Held();
  });

  test("is done once for all who ask for it while it is under way, and again for who asks later", async () => {
    const asked = Array.from({ length: 20 }, () => shared.join("a", {}, held.work));
    expect(held.ends).toHaveLength(1);
    held.ends[0]?.resolve("done");
    expect(await Promise.all(asked)).toEqual(Array.from({ length: 20 }, () => "done"));
    const again = shared.join("a", {}, held.work);
    expect(held.ends).toHaveLength(2);
    held.ends[1]?.resolve("again");
    expect(await again).toBe("again");
  });

  test("goes on under another name by itself", async () => {
    const [a, b] = [shared.join("a", {}, held.work), shared.join("b", {}, held.work)];
    held.ends[1]?.resolve("b");
    expect(await b).toBe("b");
    held.ends[0]?.resolve("a");
    expect(await a).toBe("a");
  });

  test("fails for all who wait, and is begun anew for the next one", async () => {
    const asked = [shared.join("a", {}, held.work), shared.join("a", {}, held.work)];
    held.ends[0]?.reject(reason);
    for (const one of asked) await expect(one).rejects.toBe(reason);
    const next = shared.join("a", {}, held.work);
    held.ends[1]?.resolve("done");
    expect(await next).toBe("done");
  });

  test("goes on when some of those who wait leave, and ends when the last one does", async () => {
    const [first, second] = [new AbortController(), new AbortController()];
    const [one, two] = [shared.join("a", { signal: first.signal }, held.work), shared.join("a", { signal: second.signal }, held.work)];
    first.abort(reason);
    await expect(one).rejects.toBe(reason);
    expect(held.terms[0]?.signal.aborted).toBe(false);
    second.abort(reason);
    await expect(two).rejects.toBe(reason);
    expect(held.terms[0]?.signal.aborted).toBe(true);
  });

  test("that was given up is not joined any more", async () => {
    const leaving = new AbortController();
    const one = shared.join("a", { signal: leaving.signal }, held.work);
    leaving.abort(reason);
    await expect(one).rejects.toBe(reason);
    const two = shared.join("a", {}, held.work);
    expect(held.ends).toHaveLength(2);
    held.ends[1]?.resolve("done");
    expect(await two).toBe("done");
  });

  test("is not begun for somebody who has left already", async () => {
    await expect(shared.join("a", { signal: AbortSignal.abort(reason) }, held.work)).rejects.toBe(reason);
    expect(held.ends).toEqual([]);
  });

  test("keeps to a pace until somebody joins who has none", async () => {
    let pace = 10;
    const slow = shared.join("a", { pace: () => pace }, held.work);
    expect(held.terms[0]?.pace(0)).toBe(10);
    pace = 20;
    expect(held.terms[0]?.pace(0)).toBe(20);
    const quick = shared.join("a", {}, held.work);
    expect(held.terms[0]?.pace(0)).toBe(0);
    const third = shared.join("a", { pace: () => pace }, held.work);
    expect(held.terms[0]?.pace(0)).toBe(0);
    held.ends[0]?.resolve("done");
    await Promise.all([slow, quick, third]);
  });

  describe("that lingers", () => {
    beforeEach(() => void vi.useFakeTimers());
    afterEach(() => void vi.useRealTimers());

    test("is found again by who lost patience, and ends when nobody came", async () => {
      const [first, second] = [new AbortController(), new AbortController()];
      const one = shared.join("a", { signal: first.signal, linger: 1000 }, held.work);
      first.abort(reason);
      await expect(one).rejects.toBe(reason);
      await vi.advanceTimersByTimeAsync(999);
      const two = shared.join("a", { signal: second.signal }, held.work);
      await vi.advanceTimersByTimeAsync(5000);
      expect([held.ends.length, held.terms[0]?.signal.aborted]).toEqual([1, false]);
      second.abort(reason);
      await expect(two).rejects.toBe(reason);
      await vi.advanceTimersByTimeAsync(999);
      expect(held.terms[0]?.signal.aborted).toBe(false);
      await vi.advanceTimersByTimeAsync(1);
      expect(held.terms[0]?.signal.aborted).toBe(true);
    });

    test("leaves no timer behind when it ends meanwhile", async () => {
      const first = new AbortController();
      const one = shared.join("a", { signal: first.signal, linger: 1000 }, held.work);
      first.abort(reason);
      await expect(one).rejects.toBe(reason);
      held.ends[0]?.resolve("done");
      await vi.advanceTimersByTimeAsync(0);
      expect(vi.getTimerCount()).toBe(0);
    });
  });
});
