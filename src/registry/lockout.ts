import { hash } from "node:crypto";
import { keys, under } from "../storage/keys.ts";
import type { Key } from "../storage/metadata-store.ts";
import { type LockoutRecord, lockoutRecord } from "../storage/records.ts";
import { decideAndCommit } from "./commit.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata" | "clock">;

/** One try to log in. */
export interface Attempt {
  /** The name that was claimed or, where there is none, what tells the secret: never the secret. */
  readonly subject: string;
  /** The address, IPv6 by /64. */
  readonly address: string;
  /** What tells the secret. */
  readonly secretTag: string;
  /** `form`: clients may send the same again as `header` at once (containerd does), which is one failure, not two. */
  readonly by: "form" | "header";
}

/** How long an attempt has to wait, zero when it may be made; and whether there are failures for a success to forget. */
interface Standing {
  readonly waitMilliseconds: number;
  readonly failedBefore: boolean;
}

const MINUTE = 60_000;
/** From the fifth failure on, each locks for a minute; from the fifteenth on, for a quarter of an hour (identity.md 8.2). */
const SOFT = { failures: 5, milliseconds: MINUTE } as const;
const HARD = { failures: 15, milliseconds: 15 * MINUTE } as const;
/** Failures that nothing followed for so long are forgotten. */
const MEMORY = 24 * 60 * MINUTE;
/** Within this the same secret in another form is the same attempt. */
const REPEAT_WINDOW = 10_000;
/** Failures that one process writes at most: at once, and for each second after. The rest is not counted: 178 bits are not guessed. */
const WRITES = { burst: 100, perSecond: 5 } as const;
/** How many neighbours a new row looks at, to remove those that are forgotten. */
const SWEPT = 4;

/** Failed logins by (name or secret, address), kept in the metadata so that they hold in every worker. */
export class Lockout {
  readonly #services: Needs;
  #budget: number = WRITES.burst;
  #refilledAt: number;

  constructor(services: Needs) {
    this.#services = services;
    this.#refilledAt = services.clock();
  }

  /** What stands against the attempt. */
  async check(attempt: Attempt): Promise<Standing> {
    const { record } = await this.#load(keyOf(attempt));
    if (record === undefined) return { waitMilliseconds: 0, failedBefore: false };
    const wait = record.lockedUntil - this.#services.clock();
    // A lock that is longer than any comes from a clock that was wrong, and does not bind.
    return { waitMilliseconds: wait > HARD.milliseconds ? 0 : Math.max(0, wait), failedBefore: true };
  }

  /** Counts a failure. */
  async failed(attempt: Attempt): Promise<void> {
    if (!this.#mayWrite()) return;
    const key = keyOf(attempt);
    await decideAndCommit(this.#services, async () => {
      const { record: old, version } = await this.#load(key);
      const record = afterFailure(old, attempt, this.#services.clock());
      const remove = old === undefined ? await this.#forgotten(key) : [];
      return { change: { expect: [{ key, version }], put: [{ key, value: record }], remove, audit: [] }, result: undefined };
    });
  }

  /** Forgets the failures that came before a success. */
  async succeeded(attempt: Attempt): Promise<void> {
    await this.#services.metadata.commit({ expect: [], put: [], remove: [keyOf(attempt)], audit: [] });
  }

  async #load(key: Key): Promise<{ readonly record: LockoutRecord | undefined; readonly version: number | "absent" }> {
    const entry = await this.#services.metadata.get(key);
    if (entry === undefined) return { record: undefined, version: "absent" };
    return { record: lockoutRecord.parse(entry.value), version: entry.version };
  }

  /** Keys are hashes, so that new rows fall everywhere and their neighbours are, in time, all rows. */
  async #forgotten(key: Key): Promise<readonly Key[]> {
    const [, ...after] = key;
    const neighbours = await this.#services.metadata.list(under(keys.lockouts(), SWEPT, after));
    const oldest = this.#services.clock() - MEMORY;
    return neighbours.filter(({ value }) => lockoutRecord.parse(value).lastAt < oldest).map((entry) => entry.key);
  }

  #mayWrite(): boolean {
    const now = this.#services.clock();
    // A clock that was set back takes nothing away: failures would go uncounted for as long as it was ahead.
    const elapsed = Math.max(0, now - this.#refilledAt);
    this.#budget = Math.min(WRITES.burst, this.#budget + (elapsed / 1000) * WRITES.perSecond);
    this.#refilledAt = now;
    if (this.#budget < 1) return false;
    this.#budget -= 1;
    return true;
  }
}

function afterFailure(old: LockoutRecord | undefined, { by, secretTag }: Attempt, now: number): LockoutRecord {
  const remembered = old !== undefined && old.lastAt + MEMORY > now ? old : undefined;
  const repeats = by === "form" ? secretTag : null;
  if (remembered?.repeats === secretTag && by === "header" && remembered.lastAt + REPEAT_WINDOW > now) return { ...remembered, repeats };
  const failures = (remembered?.failures ?? 0) + 1;
  return { v: 1, failures, lockedUntil: lockAfter(failures, now), lastAt: now, repeats };
}

function lockAfter(failures: number, now: number): number {
  if (failures >= HARD.failures) return now + HARD.milliseconds;
  return failures >= SOFT.failures ? now + SOFT.milliseconds : 0;
}

function keyOf({ subject, address }: Attempt): Key {
  return keys.lockout(hash("sha256", JSON.stringify([subject, address])));
}
