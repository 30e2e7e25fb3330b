import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type FollowedPage, FollowedPages } from "../../src/registry/followed-pages.ts";

/** More than the time from a look to the next, in milliseconds. */
const A_LOOK = 201;

beforeEach(() => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
afterEach(() => vi.useRealTimers());

const page = (): FollowedPage => ({
  since: { event: 0, jobs: "" },
  concerns: () => true,
  showsJobs: false,
  changed: () => undefined,
  beat: () => undefined,
  isOpen: async () => true,
  end: () => undefined,
});

/** Pages over a store whose rows come when the test says so, and how often it was looked at. */
function held(): { readonly followed: FollowedPages; readonly looks: () => number; readonly answer: () => void } {
  const waiting: PromiseWithResolvers<undefined>[] = [];
  const get = (): Promise<undefined> => {
    const row = Promise.withResolvers<undefined>();
    waiting.push(row);
    return row.promise;
  };
  const answer = (): void => waiting.forEach(({ resolve }) => resolve(undefined));
  const followed = new FollowedPages({ metadata: { get } } as never, () => false);
  return { followed, looks: () => waiting.length, answer };
}

test("a page that comes during a look which the last one has left is looked for no more often than others", async () => {
  const { followed, looks, answer } = held();
  const leave = followed.follow(page());
  await vi.advanceTimersByTimeAsync(A_LOOK);
  expect(looks()).toBe(1);
  leave();
  const leaveToo = followed.follow(page());
  answer();
  for (let at = 0; at < 10; at += 1) {
    await vi.advanceTimersByTimeAsync(A_LOOK);
    answer();
  }
  expect(looks()).toBe(11);
  leaveToo();
  await vi.advanceTimersByTimeAsync(A_LOOK);
  expect(looks()).toBe(11);
});
