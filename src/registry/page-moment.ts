import type { Caller, Services } from "./ports.ts";
import { auditHead } from "./read-audit.ts";
import { openedForSession, sealedForSession } from "./session-seal.ts";

/** When a page was made: what comes later may be new to whoever looks at it. */
export interface PageMoment {
  /** The sequence of the last event before. */
  readonly event: number;
  /** How the jobs stood that it shows (`standingOf`); empty where it shows none. */
  readonly jobs: string;
}

const PURPOSE = "page-moment";
const EVENT_BYTES = 8;

/** The sequence of the last event. To be read before the page is made, so that no change falls between the two. */
export async function lastEvent(needs: Pick<Services, "metadata">): Promise<number> {
  return (await auditHead(needs))?.sequence ?? 0;
}

/**
 * Now, for a page of this session to carry. It is sealed, since the number of the last event tells how much happens in what a reader does not
 * see.
 */
export async function sealedMoment(
  needs: Pick<Services, "metadata" | "random" | "secretFor">,
  caller: Caller,
  jobs: PageMoment["jobs"] = "",
): Promise<string> {
  const event = Buffer.alloc(EVENT_BYTES);
  event.writeBigUInt64BE(BigInt(await lastEvent(needs)));
  return sealedForSession(needs, caller, PURPOSE, Buffer.concat([event, Buffer.from(jobs)]));
}

/** The moment in a text that this session was given; undefined for any other text. */
export function openedMoment(needs: Pick<Services, "secretFor">, caller: Caller, text: string): PageMoment | undefined {
  const opened = openedForSession(needs, caller, PURPOSE, text);
  if (opened === undefined || opened.length < EVENT_BYTES) return undefined;
  return { event: Number(opened.readBigUInt64BE()), jobs: opened.toString("utf8", EVENT_BYTES) };
}
