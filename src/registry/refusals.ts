import { type AuditEvent, auditEventSchema } from "../audit/event.ts";
import { canonicalJson } from "../oci/canonical-json.ts";
import type { Services } from "./ports.ts";

/**
 * Where refusals, failed logins and reads of untrusted content are noted (RULES 29). Unlike a mutation and its event they are worth a
 * bounded amount of disk only: who asks for things that do not exist decides how often, not how much is written.
 */
export interface RefusalLog {
  /** Counts an event; returns at once, and never throws. */
  note(event: AuditEvent): void;
  /** Writes what is due, at most one commit; resolves when it is durable, or was put back for the next time. */
  flush(): Promise<void>;
  /** Stops the timer and writes all that is left. */
  close(): Promise<void>;
}

const MINUTE = 60_000;
const FLUSH_INTERVAL = 5_000;
/** Events in memory, all told. */
const MAX_EVENTS = 10_000;
/** Different targets that one actor gets events for within a minute; the rest is one event without a target. */
const MAX_TARGETS = 20;
/** With twelve flushes a minute: at most 600 events a minute and process reach the disk. */
const MAX_WRITTEN_AT_ONCE = 50;
/** What a stopping process writes at once: it has no later flush, and what it holds is bounded already. */
const MAX_WRITTEN_AT_END = 1_000;
const CLOSING_TRIES = 3;

interface Tally {
  readonly event: AuditEvent;
  readonly minute: number;
  /** How many were counted since it was last written. */
  count: number;
  written: boolean;
}

type Needs = Pick<Services, "metadata" | "clock" | "newId" | "log">;

/** A refusal log that writes itself every few seconds: the first of a kind soon, the others of its minute as one more event. */
export function createRefusalLog(services: Needs): RefusalLog {
  return new CoalescingLog(services);
}

class CoalescingLog implements RefusalLog {
  readonly #services: Needs;
  readonly #tallies = new Map<string, Tally>();
  /** Actor and minute → how many targets it has an event for. */
  readonly #targets = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  #flushing: Promise<void> | undefined;

  constructor(services: Needs) {
    this.#services = services;
    this.#timer = setInterval(() => void this.flush(), FLUSH_INTERVAL);
    this.#timer.unref();
  }

  note(event: AuditEvent): void {
    const minute = Math.floor(this.#services.clock() / MINUTE);
    const key = keyOf(event, minute);
    const known = this.#tallies.get(key);
    if (known !== undefined) known.count += event.count ?? 1;
    else this.#open(key, event, minute);
  }

  #open(key: string, event: AuditEvent, minute: number): void {
    if (!isRecordable(event)) return this.#overflow(event, minute, "not recordable as it came");
    if (this.#tallies.size >= MAX_EVENTS) return this.#overflow(event, minute, "too many of different kinds to record each");
    const actor = actorKey(event, minute);
    const targets = this.#targets.get(actor) ?? 0;
    if (targets >= MAX_TARGETS) return this.#fold(event, minute);
    this.#targets.set(actor, targets + 1);
    this.#tallies.set(key, { event, minute, count: event.count ?? 1, written: false });
  }

  /** One event for all further targets of an actor. */
  #fold(event: AuditEvent, minute: number): void {
    const { target: _, ...rest } = event;
    this.#add(actorKey(event, minute), { ...rest, reason: `more than ${MAX_TARGETS} targets within a minute` }, minute);
  }

  /** One event a type for everything that found no room; its kinds are those of the program, not of the caller. */
  #overflow(event: AuditEvent, minute: number, reason: string): void {
    const { type, outcome, count } = event;
    const actor = { principal: "system", kind: "system" } as const;
    const counted = count === undefined ? {} : { count };
    const folded: AuditEvent = { id: this.#services.newId(), time: this.#services.clock(), type, actor, outcome, reason, ...counted };
    if (isRecordable(folded)) this.#add(JSON.stringify([type, reason]), folded, minute);
  }

  #add(key: string, event: AuditEvent, minute: number): void {
    const known = this.#tallies.get(key);
    const count = event.count ?? 1;
    if (known === undefined) this.#tallies.set(key, { event, minute, count, written: false });
    else known.count += count;
  }

  async flush(): Promise<void> {
    // One at a time: two would write the same counts twice.
    this.#flushing ??= this.#write(false).finally(() => {
      this.#flushing = undefined;
    });
    await this.#flushing;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#flushing;
    for (let failures = 0; this.#tallies.size > 0 && failures < CLOSING_TRIES;) {
      const before = this.#tallies.size;
      await this.#write(true);
      if (this.#tallies.size >= before) failures += 1;
    }
  }

  async #write(closing: boolean): Promise<void> {
    const now = Math.floor(this.#services.clock() / MINUTE);
    const isOver = ({ minute }: Tally): boolean => closing || minute !== now;
    const due = [...this.#tallies].filter(([, tally]) => tally.count > 0 && (!tally.written || isOver(tally)));
    const batch = due.slice(0, closing ? MAX_WRITTEN_AT_END : MAX_WRITTEN_AT_ONCE);
    const counts = batch.map(([, tally]) => tally.count);
    if (batch.length > 0 && !(await this.#commit(batch.map(([, tally]) => this.#eventOf(tally))))) return;
    for (const [at, [, tally]] of batch.entries()) {
      // What was counted while the commit was under way is still to be written.
      tally.count -= counts[at] ?? 0;
      tally.written = true;
    }
    this.#forget(now, isOver);
  }

  #forget(now: number, isOver: (tally: Tally) => boolean): void {
    for (const [key, tally] of this.#tallies) if (tally.count === 0 && isOver(tally)) this.#tallies.delete(key);
    for (const actor of this.#targets.keys()) if (Number.parseInt(actor, 10) !== now) this.#targets.delete(actor);
  }

  /** The event as it stands now; what follows the first of a minute is an event of its own. */
  #eventOf({ event, count, written }: Tally): AuditEvent {
    const fresh = written ? { id: this.#services.newId(), time: this.#services.clock() } : {};
    return { ...event, ...fresh, count };
  }

  async #commit(audit: readonly AuditEvent[]): Promise<boolean> {
    try {
      return (await this.#services.metadata.commit({ expect: [], put: [], remove: [], audit })) === "committed";
    } catch (error) {
      this.#services.log.warn({ err: error, events: audit.length }, "refusals could not be written to the audit chain yet");
      return false;
    }
  }
}

/** The minute comes first, so that the key alone tells when it is over. */
function actorKey({ type, actor }: AuditEvent, minute: number): string {
  return `${minute} ${JSON.stringify([type, actor.principal, actor.address])}`;
}

function keyOf(event: AuditEvent, minute: number): string {
  const { target } = event;
  const what = target?.digest ?? [target?.kind, target?.name, target?.tag];
  return `${actorKey(event, minute)} ${JSON.stringify(what)}`;
}

/** One event that the chain cannot hash would hold up all others of its commit. */
function isRecordable(event: AuditEvent): boolean {
  try {
    canonicalJson(auditEventSchema.parse(event));
    return true;
  } catch {
    return false;
  }
}
