import { setImmediate } from "node:timers/promises";
import { type Link, linkSchema, verify } from "../audit/chain.ts";
import { keys, under } from "../storage/keys.ts";
import type { Services } from "./ports.ts";
import { auditHead } from "./read-audit.ts";

type Needs = Pick<Services, "metadata">;

/** What a check of a part of the chain found. */
export interface AuditCheck {
  /** How many links were looked at. */
  readonly checked: number;
  /** The last link that holds. */
  readonly last: Link | undefined;
  /** The first sequence that does not hold. */
  readonly broken: { readonly sequence: number; readonly reason: string } | undefined;
  /** The sequence to go on after; undefined when the end was reached, or the chain is broken. */
  readonly next: number | undefined;
}

const READ_AT_ONCE = 500;
/** Links checked by one call, at most: about a second of work. */
const MAX_CHECKED = 20_000;

/** Proves the part of the chain after a link that an earlier call reached (0: from the beginning), up to a bound or to its head. */
export async function verifyAudit(needs: Needs, after: number): Promise<AuditCheck> {
  const start = await linkAt(needs, after);
  if (after > 0 && start === undefined)
    return broken(0, undefined, { sequence: after, reason: "there is no such link, or it cannot be read" });
  let [last, checked] = [start, 0];
  while (checked < MAX_CHECKED) {
    const batch = await readBatch(needs, last?.sequence ?? 0);
    const result = verify(batch.links, last);
    if (!result.intact) return broken(checked + batch.links.length, last, result);
    checked += batch.links.length;
    last = result.head;
    if (batch.fault !== undefined) return broken(checked, last, batch.fault);
    if (batch.links.length < READ_AT_ONCE) return endOf(needs, checked, last);
    await setImmediate();
  }
  return { checked, last, broken: undefined, next: last?.sequence };
}

function broken(checked: number, last: Link | undefined, fault: { readonly sequence: number; readonly reason: string }): AuditCheck {
  return { checked, last, broken: { sequence: fault.sequence, reason: fault.reason }, next: undefined };
}

/** The end of the rows must be the head that the store keeps: a chain that lost its last links is whole in itself. */
async function endOf(needs: Needs, checked: number, last: Link | undefined): Promise<AuditCheck> {
  const at = last?.sequence ?? 0;
  const head = await auditHead(needs);
  // The head may have moved on since the rows were read, but never back.
  if ((await linkAt(needs, at + 1)) !== undefined) return { checked, last, broken: undefined, next: at };
  if (head?.hash === last?.hash) return { checked, last, broken: undefined, next: undefined };
  return broken(checked, last, { sequence: at + 1, reason: "the chain ends before its head" });
}

/** The links after a sequence, up to the first row that cannot be read as one. */
async function readBatch(
  { metadata }: Needs,
  after: number,
): Promise<{ readonly links: readonly Link[]; readonly fault?: { readonly sequence: number; readonly reason: string } }> {
  const links: Link[] = [];
  for (const { value } of await metadata.list(under(keys.audits(), READ_AT_ONCE, [after]))) {
    const link = linkSchema.safeParse(value);
    if (!link.success) return { links, fault: { sequence: after + links.length + 1, reason: "the row is not a link of the chain" } };
    links.push(link.data);
  }
  return { links };
}

async function linkAt({ metadata }: Needs, sequence: number): Promise<Link | undefined> {
  const entry = await metadata.get(keys.audit(sequence));
  return linkSchema.safeParse(entry?.value).data;
}
