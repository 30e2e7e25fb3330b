import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { revokeCredential } from "../../src/registry/credentials.ts";
import type { Origin } from "../../src/registry/logins.ts";
import { SignIn, endSession, endSessions, ownSessions, useSession } from "../../src/registry/sessions.ts";
import { type Identities, type Known, startIdentities } from "../support/identities.ts";
import { runs } from "../support/runs.ts";

const MINUTE = 60_000;
const ORIGIN: Origin = { address: "192.0.2.1", addressBlock: "192.0.2.1", userAgent: undefined, requestId: "r1" };

let store: Identities;
beforeAll(async () => {
  store = await startIdentities();
});
afterAll(() => store.close());

type Step =
  | { readonly does: "open"; readonly from?: number }
  | { readonly does: "use" | "end"; readonly which: number }
  | { readonly does: "end all" | "revoke the key" }
  | { readonly does: "wait"; readonly minutes: number };

const which = fc.nat({ max: 5 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ does: fc.constant("open" as const), from: which }, { requiredKeys: ["does"] }) },
  { weight: 4, arbitrary: fc.record({ does: fc.constantFrom("use" as const, "end" as const), which }) },
  { weight: 3, arbitrary: fc.record({ does: fc.constant("wait" as const), minutes: fc.constantFrom(0.5, 1, 10, 29, 30, 400) }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constantFrom("end all" as const, "revoke the key" as const) }) },
);

/** What ought to be known of a session. */
interface Modelled {
  readonly id: string;
  readonly openedAt: number;
  usedAt: number | undefined;
  isEnded: boolean;
}

function isLive({ openedAt, usedAt, isEnded }: Modelled, now: number): boolean {
  return !isEnded && now < openedAt + 720 * MINUTE && now < (usedAt ?? openedAt) + 30 * MINUTE;
}

/** Sessions as the rules have them, beside those of the store. */
class Story {
  readonly #known: Known;
  readonly #signIn = new SignIn(store.services, () => {});
  readonly sessions: Modelled[] = [];
  /** Where the store differs from the model. */
  readonly faults: string[] = [];
  #isRevoked = false;

  constructor(known: Known) {
    this.#known = known;
  }

  async take(taken: Step): Promise<void> {
    const now = store.services.clock();
    switch (taken.does) {
      case "wait":
        return store.pass(taken.minutes * MINUTE);
      case "open":
        return this.#open(taken.from === undefined ? undefined : this.sessions[taken.from], now);
      case "use":
        return this.#use(this.sessions[taken.which], now);
      case "end":
        return this.#end(this.sessions[taken.which], now);
      case "end all":
        for (const each of this.sessions) each.isEnded = true;
        return endSessions(store.services, this.#known.caller);
      case "revoke the key":
        this.#isRevoked = true;
        for (const each of this.sessions) each.isEnded = true;
        await revokeCredential(store.services, this.#known.caller, this.#known.id);
    }
  }

  /** Those that are in force, in the store and in the model, by every way to ask. */
  async compare(): Promise<void> {
    const now = store.services.clock();
    const live = this.sessions.filter((each) => isLive(each, now));
    this.#hold("listed", (await ownSessions(store.services, this.#known.caller)).length, live.length);
    for (const each of this.sessions) await this.#use(each, now);
  }

  #hold(what: string, found: unknown, expected: unknown): void {
    if (found !== expected) this.faults.push(`${what}: ${String(found)}, not ${String(expected)}`);
  }

  async #open(before: Modelled | undefined, now: number): Promise<void> {
    const { name } = this.#known.caller.principal;
    const opened = await this.#signIn.signIn({ name, key: this.#known.secret }, ORIGIN, before?.id);
    this.#hold("opened", typeof opened === "string", !this.#isRevoked);
    if (typeof opened !== "string") return;
    this.#hold(
      "opened anew",
      this.sessions.some(({ id }) => id === opened),
      false,
    );
    if (before !== undefined) before.isEnded = true;
    this.sessions.push({ id: opened, openedAt: now, usedAt: undefined, isEnded: false });
  }

  async #use(session: Modelled | undefined, now: number): Promise<void> {
    if (session === undefined) return;
    const used = await useSession(store.services, session.id, ORIGIN);
    this.#hold("in force", typeof used === "object", isLive(session, now));
    if (typeof used === "string") return;
    this.#hold("whose", used.caller.principal.name, this.#known.caller.principal.name);
    if (session.usedAt === undefined || session.usedAt + MINUTE <= now) session.usedAt = now;
  }

  async #end(session: Modelled | undefined, now: number): Promise<void> {
    if (session === undefined || !isLive(session, now)) return;
    const used = await useSession(store.services, session.id, ORIGIN);
    if (typeof used === "string") throw new Error("it is live");
    session.isEnded = true;
    await endSession(store.services, used.caller, used.caller.principal.credential ?? "");
  }
}

let stories = 0;

test("whatever is done with sessions, those in force are the ones that the rules say, and none that ended comes back", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 14 }), async (steps) => {
      stories += 1;
      const story = new Story(await store.identity(`person-${stories}`, [{ role: "reader", namespace: "models" }]));
      for (const each of steps) await story.take(each);
      await story.compare();
      expect(story.faults).toEqual([]);
    }),
    { numRuns: runs(30) },
  );
});
