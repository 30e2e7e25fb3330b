import { once } from "node:events";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { RegistryError } from "../../oci/errors.ts";
import { type FollowedPage, FollowedPages } from "../../registry/followed-pages.ts";
import { type PageMoment, openedMoment } from "../../registry/page-moment.ts";
import type { Caller, Services } from "../../registry/ports.ts";
import { type Ask, type Door, isHead } from "../route.ts";
import { JOBS, concernOf } from "./live-concerns.ts";
import { sessionOf } from "./session-gate.ts";

type Needs = Pick<Services, "metadata" | "clock" | "log" | "secretFor">;
type Concern = FollowedPage["concerns"];

/** Streams that one session, one person and one process has open at a time; the oldest of a session or person ends for one more. */
const MAX_OF_SESSION = 4;
const MAX_OF_PERSON = 16;
const MAX_STREAMS = 256;
/** What a browser that takes nothing is kept for, in bytes. */
const MAX_WAITING = 4096;

const HEADERS = { "Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no" } as const;

/**
 * Tells an open page that what it shows may have changed, and never what: the page is then asked for anew, by the door and with the rights
 * that it has anyway. `about` is an artifact, by its reference, `queue` or `jobs`; `since` what the page says of when it was made.
 */
export function liveDoors(services: Needs, isEnding: () => boolean): readonly Door[] {
  const followed = new FollowedPages(services, isEnding);
  const [ofSessions, ofPersons] = [new Room(MAX_OF_SESSION), new Room(MAX_OF_PERSON)];
  // By person, since one may hold many sessions and keys, and each of them four streams.
  const keeping =
    ({ principal }: Caller) =>
    (end: () => void) => {
      const leave = [ofSessions.take(principal.credential ?? "", end), ofPersons.take(principal.countsAs, end)];
      return () => leave.forEach((each) => each());
    };
  return [
    {
      method: "GET",
      path: "/ui/live",
      action: "session",
      handle: async (c, caller) => {
        const about = c.req.query("about") ?? "";
        const concerns = await concernOf(services, caller, about);
        if (followed.count >= MAX_STREAMS)
          throw new RegistryError("TOO_MANY_REQUESTS", "so many pages are followed that yours is not: load it again to see what is new");
        if (isHead(c)) return c.body(null, 200, HEADERS);
        const since = sinceOf(services, caller, c.req.query("since"));
        await stream(c, { concerns, showsJobs: about === JOBS, since, followed, keep: keeping(caller) });
        return RESPONSE_ALREADY_SENT;
      },
    },
  ];
}

function sinceOf(services: Needs, caller: Caller, text = ""): PageMoment {
  const moment = openedMoment(services, caller, text);
  if (moment === undefined) throw new RegistryError("INVALID", "since is what a page of this session carries: load the page again");
  return moment;
}

/** The streams that are open for each of some, of which the oldest makes room for one more than there may be. */
class Room {
  readonly #most: number;
  readonly #of = new Map<string, (() => void)[]>();

  constructor(most: number) {
    this.#most = most;
  }

  /** Keeps a stream until the function that it returns is called. */
  take(of: string, end: () => void): () => void {
    const ends = this.#of.get(of) ?? [];
    this.#of.set(of, [...ends, end]);
    if (ends.length >= this.#most) ends[0]?.();
    return () => this.#leave(of, end);
  }

  #leave(of: string, end: () => void): void {
    const left = (this.#of.get(of) ?? []).filter((each) => each !== end);
    if (left.length === 0) this.#of.delete(of);
    else this.#of.set(of, left);
  }
}

interface Stream {
  readonly concerns: Concern;
  readonly showsJobs: boolean;
  readonly since: PageMoment;
  readonly followed: FollowedPages;
  /** Counts a stream until the function that it returns is called. */
  readonly keep: (end: () => void) => () => void;
}

async function stream(c: Ask, { concerns, showsJobs, since, followed, keep }: Stream): Promise<void> {
  const { outgoing } = c.env;
  const write = (text: string): void => {
    if (outgoing.writableLength > MAX_WAITING) outgoing.destroy();
    else outgoing.write(text);
  };
  const end = (): void => void outgoing.end();
  outgoing.writeHead(200, HEADERS);
  // The first bytes have the browser know that it is connected, and say when to come back after an end.
  write("retry: 2000\n\n");
  const closed = once(outgoing, "close");
  const leave = keep(end);
  const stop = followed.follow({
    since,
    concerns,
    showsJobs,
    changed: () => write("event: changed\ndata:\n\n"),
    beat: () => write(":\n\n"),
    isOpen: sessionOf(c).isOpen,
    end,
  });
  try {
    await closed;
  } finally {
    stop();
    leave();
  }
}
