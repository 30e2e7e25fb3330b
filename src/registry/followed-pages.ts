import type { Link } from "../audit/chain.ts";
import type { AuditEvent } from "../audit/event.ts";
import { auditHead, readAudit } from "./read-audit.ts";
import type { Services } from "./ports.ts";

/** A page that is open at a browser and wants to be told when it shows what is no longer so. */
export interface FollowedPage {
  /** The sequence of the last event before the page was made. */
  readonly since: number;
  /** Does the page show anything that the event may have changed? */
  readonly concerns: (event: AuditEvent) => boolean;
  readonly changed: () => void;
  /** Something for the connection, so that neither end takes it for dead. */
  readonly beat: () => void;
  /** Is the session that opened it in force still? */
  readonly isOpen: () => Promise<boolean>;
  readonly end: () => void;
}

/** How often a worker that has pages to tell looks at the head of the audit, in milliseconds: a revocation shows within a second. */
const INTERVAL = 200;
/** Looks from one beat, and one question for the session, to the next. */
const BEAT = 50;
/** Of more events at a time nobody asks what they were about. */
const MAX_EVENTS = 200;

/** The sequence of the last event. To be read before the page is made, so that no change falls between the two. */
export async function lastEvent(needs: Pick<Services, "metadata">): Promise<number> {
  return (await auditHead(needs))?.sequence ?? 0;
}

/**
 * The pages of one worker that are followed. Whatever process commits a change, its event moves the head of the chain, which each worker
 * sees: one row a look, however many pages there are and whatever the registry holds. Without pages it looks at nothing.
 */
export class FollowedPages {
  readonly #services: Pick<Services, "metadata" | "log">;
  readonly #isEnding: () => boolean;
  readonly #seen = new Map<FollowedPage, number>();
  #looks = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `isEnding`: does the process want to stop? Then all pages are let go. */
  constructor(services: Pick<Services, "metadata" | "log">, isEnding: () => boolean) {
    this.#services = services;
    this.#isEnding = isEnding;
  }

  get count(): number {
    return this.#seen.size;
  }

  /** Tells a page until the function that it returns is called. */
  follow(page: FollowedPage): () => void {
    this.#seen.set(page, page.since);
    this.#timer ??= this.#nextLook();
    return () => {
      this.#seen.delete(page);
      if (this.#seen.size > 0) return;
      clearTimeout(this.#timer);
      this.#timer = undefined;
    };
  }

  #nextLook(): NodeJS.Timeout {
    return setTimeout(() => void this.#look(), INTERVAL).unref();
  }

  async #look(): Promise<void> {
    this.#looks += 1;
    try {
      if (this.#isEnding()) this.#endAll();
      else await this.#tellAll(this.#looks % BEAT === 0);
    } catch (error) {
      this.#services.log.error({ err: error }, "it could not be told what pages show: they are let go");
      this.#endAll();
    }
    this.#timer = this.#seen.size > 0 ? this.#nextLook() : undefined;
  }

  #endAll(): void {
    for (const page of this.#seen.keys()) page.end();
  }

  async #tellAll(beats: boolean): Promise<void> {
    const head = await lastEvent(this.#services);
    const links = await this.#newest(head);
    const isOfSessions = links.some(({ event: { target } }) => target?.kind === "credential" || target?.kind === "identity");
    for (const [page, seen] of this.#seen) {
      // Who missed more than is looked at is told in any case.
      const isChanged = head - seen > MAX_EVENTS || links.some(({ sequence, event }) => sequence > seen && page.concerns(event));
      if ((isChanged || beats || isOfSessions) && !(await page.isOpen())) {
        page.end();
        continue;
      }
      // It may have gone meanwhile.
      if (this.#seen.has(page)) this.#seen.set(page, Math.max(seen, head));
      if (isChanged) page.changed();
      else if (beats) page.beat();
    }
  }

  /** The events that a page has not been told of, as far as they are looked at. */
  async #newest(head: number): Promise<readonly Link[]> {
    const oldest = Math.max(Math.min(...this.#seen.values()), head - MAX_EVENTS);
    if (oldest >= head) return [];
    return (await readAudit(this.#services, { after: oldest, limit: MAX_EVENTS, filter: {} })).links;
  }
}
