import type { Link } from "../audit/chain.ts";
import { type AuditFilter, auditHead, matchesFilter, readAudit } from "./read-audit.ts";
import type { Services } from "./ports.ts";

/** Events, newest first; `next` is where earlier ones are looked for, undefined at the beginning of the chain. */
export interface AuditWindow {
  readonly links: readonly Link[];
  readonly next: number | undefined;
}

/** So many links are looked at for one page. */
const WINDOW = 500;

/** The newest events before a sequence (undefined: of all) that a filter lets through, at most `limit`: of the last five hundred before it. */
export async function auditBefore(
  needs: Pick<Services, "metadata">,
  { before, limit, filter }: { readonly before: number | undefined; readonly limit: number; readonly filter: AuditFilter },
): Promise<AuditWindow> {
  const head = (await auditHead(needs))?.sequence ?? 0;
  const end = Math.min(before ?? head + 1, head + 1);
  const start = Math.max(0, end - 1 - WINDOW);
  if (end - 1 <= start) return { links: [], next: undefined };
  const { links } = await readAudit(needs, { after: start, limit: end - 1 - start, filter: {} });
  const matching = links.filter(({ event }) => matchesFilter(filter, event)).toReversed();
  const shown = matching.slice(0, limit);
  const next = matching.length > limit ? shown.at(-1)?.sequence : start + 1;
  return { links: shown, next: next !== undefined && next > 1 ? next : undefined };
}
