import { createCipheriv, createDecipheriv } from "node:crypto";
import type { Caller, Services } from "./ports.ts";
import { auditHead } from "./read-audit.ts";

/** When a page was made: what comes later may be new to whoever looks at it. */
export interface PageMoment {
  /** The sequence of the last event before. */
  readonly event: number;
  /** How the jobs stood that it shows (`standingOf`); empty where it shows none. */
  readonly jobs: string;
}

const PURPOSE = "page-moment";
const CIPHER = "aes-256-gcm";
const IV_BYTES = 12;
const TAG_BYTES = 16;
const EVENT_BYTES = 8;
/** More characters than any moment has. */
const MAX_LENGTH = 128;

/** The sequence of the last event. To be read before the page is made, so that no change falls between the two. */
export async function lastEvent(needs: Pick<Services, "metadata">): Promise<number> {
  return (await auditHead(needs))?.sequence ?? 0;
}

/**
 * Now, for a page of this session to carry. It is sealed, with chance in it, since the number of the last event tells how much happens in
 * what a reader does not see, and so would two texts that are alike, or differ.
 */
export async function sealedMoment(
  needs: Pick<Services, "metadata" | "random" | "secretFor">,
  caller: Caller,
  jobs: PageMoment["jobs"] = "",
): Promise<string> {
  const iv = needs.random(IV_BYTES);
  const cipher = createCipheriv(CIPHER, needs.secretFor(PURPOSE), iv).setAAD(sessionOf(caller));
  const event = Buffer.alloc(EVENT_BYTES);
  event.writeBigUInt64BE(BigInt(await lastEvent(needs)));
  const sealed = [cipher.update(event), cipher.update(jobs, "utf8"), cipher.final()];
  return Buffer.concat([iv, ...sealed, cipher.getAuthTag()]).toString("base64url");
}

/** The moment in a text that this session was given; undefined for any other text. */
export function openedMoment({ secretFor }: Pick<Services, "secretFor">, caller: Caller, text: string): PageMoment | undefined {
  const bytes = Buffer.from(text.slice(0, MAX_LENGTH), "base64url");
  if (bytes.length < IV_BYTES + EVENT_BYTES + TAG_BYTES) return undefined;
  const decipher = createDecipheriv(CIPHER, secretFor(PURPOSE), bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
  decipher.setAAD(sessionOf(caller)).setAuthTag(bytes.subarray(-TAG_BYTES));
  try {
    const opened = Buffer.concat([decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()]);
    return { event: Number(opened.readBigUInt64BE()), jobs: opened.toString("utf8", EVENT_BYTES) };
  } catch {
    // It is not of ours, or of another session: the tag does not fit.
    return undefined;
  }
}

function sessionOf({ principal }: Caller): Buffer {
  return Buffer.from(principal.credential ?? "");
}
