import type { Link } from "../audit/chain.ts";
import type { AuditEvent } from "../audit/event.ts";
import { jobOverview, standingOf } from "./job-overview.ts";
import { type PageMoment, lastEvent } from "./page-moment.ts";
import { readAudit } from "./read-audit.ts";
import type { Services } from "./ports.ts";

/** A page that is open at a browser and wants to be told when it shows what is no longer so. */
export interface FollowedPage {
  /** When the page was made. */
  readonly since: PageMoment;
  /** Does the page show anything that the event may have changed? */
  readonly concerns: (event: AuditEvent) => boolean;
  /** Does it show how far jobs are? That moves without an event. */
  readonly showsJobs: boolean;
  readonly changed: () => void;
  /** Something for the connection, so that neither end takes it for dead. */
  readonly beat: () => void;
  /** Is the session that opened it in force still? */
  readonly isOpen: () => Promise<boolean>;
  readonly end: () => void;
}

type Needs = Pick<Services, "metadata" | "clock" | "log">;

/** How often a worker that has pages to tell looks at the head of the audit, in milliseconds: a revocation shows within a second. */
const INTERVAL = 200;
/** Looks from one beat, and one question for the session, to the next. */
const BEAT = 50;
/** Looks from one at the jobs to the next, for whom these are followed: a second, about as often as they write down how far they are. */
const JOBS = 5;
/** Of more events at a time nobody asks what they were about. */
const MAX_EVENTS = 200;

/** What a look found. */
interface Seen {
  readonly head: number;
  /** Events that not all pages have been told of. */
  readonly links: readonly Link[];
  /** Undefined where nobody looked at them. */
  readonly jobs: string | undefined;
}

/**
 * The pages of one worker that are followed. Whatever process commits a change, its event moves the head of the chain, which each worker
 * sees: one row a look, however many pages there are and whatever the registry holds; and the few rows of the jobs, once a second, while a
 * page shows them. Without pages it looks at nothing.
 */
export class FollowedPages {
  readonly #services: Needs;
  readonly #isEnding: () => boolean;
  readonly #told = new Map<FollowedPage, PageMoment>();
  #looks = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `isEnding`: does the process want to stop? Then all pages are let go. */
  constructor(services: Needs, isEnding: () => boolean) {
    this.#services = services;
    this.#isEnding = isEnding;
  }

  get count(): number {
    return this.#told.size;
  }

  /** Tells a page until the function that it returns is called. */
  follow(page: FollowedPage): () => void {
    this.#told.set(page, page.since);
    this.#timer ??= this.#nextLook();
    return () => {
      this.#told.delete(page);
      if (this.#told.size > 0) return;
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
    // Whoever came while nobody was there has begun to wait for a look of its own.
    clearTimeout(this.#timer);
    this.#timer = this.#told.size > 0 ? this.#nextLook() : undefined;
  }

  #endAll(): void {
    for (const page of this.#told.keys()) page.end();
  }

  async #tellAll(beats: boolean): Promise<void> {
    const head = await lastEvent(this.#services);
    const seen: Seen = { head, links: await this.#newest(head), jobs: await this.#jobs() };
    const isOfSessions = seen.links.some(({ event: { target } }) => target?.kind === "credential" || target?.kind === "identity");
    for (const [page, told] of this.#told) {
      const isChanged = isNews(page, told, seen);
      if ((isChanged || beats || isOfSessions) && !(await page.isOpen())) {
        page.end();
        continue;
      }
      // It may have gone meanwhile.
      if (this.#told.has(page)) this.#told.set(page, { event: Math.max(told.event, head), jobs: seen.jobs ?? told.jobs });
      if (isChanged) page.changed();
      else if (beats) page.beat();
    }
  }

  /** The events that a page has not been told of, as far as they are looked at. */
  async #newest(head: number): Promise<readonly Link[]> {
    const oldest = Math.max(Math.min(...[...this.#told.values()].map(({ event }) => event)), head - MAX_EVENTS);
    if (oldest >= head) return [];
    return (await readAudit(this.#services, { after: oldest, limit: MAX_EVENTS, filter: {} })).links;
  }

  async #jobs(): Promise<string | undefined> {
    const isDue = this.#looks % JOBS === 0 && [...this.#told.keys()].some(({ showsJobs }) => showsJobs);
    return isDue ? standingOf(await jobOverview(this.#services)) : undefined;
  }
}

/** Who missed more events than are looked at is told in any case. */
function isNews(page: FollowedPage, told: PageMoment, { head, links, jobs }: Seen): boolean {
  if (page.showsJobs && jobs !== undefined && jobs !== told.jobs) return true;
  return head - told.event > MAX_EVENTS || links.some(({ sequence, event }) => sequence > told.event && page.concerns(event));
}
