import { setImmediate } from "node:timers/promises";
import { type Link, linkSchema } from "../audit/chain.ts";
import type { AuditEvent } from "../audit/event.ts";
import { isDigest } from "../oci/digest.ts";
import { keys, under } from "../storage/keys.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata">;

/** Which events are wanted: all that are given must hold. */
export interface AuditFilter {
  readonly actor?: string | undefined;
  /** A repository, `<repository>:<tag>` or `<repository>@<digest>`. */
  readonly artifact?: string | undefined;
  /** A type, or the first parts of one: `artifact` stands for `artifact.promote` too. */
  readonly type?: string | undefined;
}

/** A page of the chain. `next` is the sequence to go on after; undefined when this page reaches the end. */
export interface AuditLinks {
  readonly links: readonly Link[];
  readonly next: number | undefined;
}

/** Links that one page looks at, at most: a filter that matches nothing costs no more than this. */
const MAX_SCANNED = 10_000;
const READ_AT_ONCE = 500;

/** The events after a sequence that a filter lets through, oldest first, at most `limit`. */
export async function readAudit(
  needs: Needs,
  { after, limit, filter }: { readonly after: number; readonly limit: number; readonly filter: AuditFilter },
): Promise<AuditLinks> {
  const links: Link[] = [];
  let seen = after;
  for await (const page of pages(needs, after, MAX_SCANNED)) {
    for (const link of page) {
      if (links.length === limit) return { links, next: seen };
      seen = link.sequence;
      if (matchesFilter(filter, link.event)) links.push(link);
    }
  }
  return { links, next: seen - after >= MAX_SCANNED ? seen : undefined };
}

/** Every event of the chain that a filter lets through, oldest first, read as it is consumed. */
export async function* streamAudit(needs: Needs, filter: AuditFilter): AsyncGenerator<Link> {
  for await (const page of pages(needs, 0, Number.MAX_SAFE_INTEGER)) yield* page.filter(({ event }) => matchesFilter(filter, event));
}

/** The last link of the chain. */
export async function auditHead({ metadata }: Needs): Promise<Link | undefined> {
  const entry = await metadata.get(keys.auditHead());
  return entry && linkSchema.parse(entry.value);
}

/** The links after a sequence, at most `most`, a batch at a time. */
async function* pages({ metadata }: Needs, after: number, most: number): AsyncGenerator<readonly Link[]> {
  let [last, left] = [after, most];
  while (left > 0) {
    const rows = await metadata.list(under(keys.audits(), Math.min(READ_AT_ONCE, left), [last]));
    const links = rows.map(({ value }) => linkSchema.parse(value));
    if (links.length > 0) yield links;
    if (links.length < Math.min(READ_AT_ONCE, left)) return;
    left -= links.length;
    last = links.at(-1)?.sequence ?? last;
    // An embedded store answers without leaving the event loop: others' requests come between batches.
    await setImmediate();
  }
}

/** Does a filter let an event through? */
export function matchesFilter({ actor, artifact, type }: AuditFilter, event: AuditEvent): boolean {
  if (actor !== undefined && event.actor.principal !== actor) return false;
  if (type !== undefined && event.type !== type && !event.type.startsWith(`${type}.`)) return false;
  return artifact === undefined || matchesArtifact(artifact, event);
}

function matchesArtifact(artifact: string, { target }: AuditEvent): boolean {
  if (target === undefined) return false;
  const at = artifact.indexOf("@");
  if (at !== -1 && isDigest(artifact.slice(at + 1)))
    return target.name === artifact.slice(0, at) && target.digest === artifact.slice(at + 1);
  if (target.name === artifact) return true;
  const colon = artifact.lastIndexOf(":");
  return colon !== -1 && target.name === artifact.slice(0, colon) && target.tag === artifact.slice(colon + 1);
}
