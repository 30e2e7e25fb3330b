import { z } from "zod";
import { canonicalJson } from "../oci/canonical-json.ts";
import { type Digest, digestOf, digestSchema } from "../oci/digest.ts";
import { type AuditEvent, auditEventSchema } from "./event.ts";

/** One link of the audit chain: an event, and the hash that ties it to everything before it. */
export const linkSchema = z.strictObject({
  /** 1 for the first link, then one more each. */
  sequence: z.number().int().positive(),
  /** Hash of the link before; null for the first. */
  previous: digestSchema.nullable(),
  /** sha256 over the RFC 8785 form of `{event, previous, sequence}`. */
  hash: digestSchema,
  event: auditEventSchema,
});
export type Link = z.infer<typeof linkSchema>;

/** What a check of a chain found: its last link, or the first sequence at which it is broken, and how. */
export type Verification =
  | { readonly intact: true; readonly head: Link | undefined }
  | { readonly intact: false; readonly sequence: number; readonly reason: string };

/** The link that puts an event after `head` (nothing: the chain begins). A clock that was set back does not take the chain's time back. */
export function append(head: Link | undefined, event: AuditEvent): Link {
  const time = Math.max(head?.event.time ?? 0, event.time);
  const sequence = (head?.sequence ?? 0) + 1;
  const link = { sequence, previous: head?.hash ?? null, event: { ...event, time } };
  return { ...link, hash: hashOf(link) };
}

/** Does every link follow the one before it, the first one `head` (nothing: the beginning)? A page after a page needs no second read. */
export function verify(links: Iterable<Link>, head?: Link): Verification {
  let last = head;
  for (const link of links) {
    const reason = faultOf(last, link);
    if (reason !== undefined) return { intact: false, sequence: (last?.sequence ?? 0) + 1, reason };
    last = link;
  }
  return { intact: true, head: last };
}

function faultOf(before: Link | undefined, link: Link): string | undefined {
  const right = append(before, link.event);
  if (link.sequence !== right.sequence) return "a link is missing, or out of its place";
  if (link.previous !== right.previous) return "the link does not name the hash of the one before";
  if (link.event.time !== right.event.time) return "time goes backwards";
  return link.hash === right.hash ? undefined : "the event is not what was hashed";
}

function hashOf({ sequence, previous, event }: Omit<Link, "hash">): Digest {
  return digestOf(canonicalJson({ sequence, previous, event }));
}
