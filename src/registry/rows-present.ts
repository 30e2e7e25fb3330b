import { LAST } from "../storage/keys.ts";
import type { Key } from "../storage/metadata-store.ts";
import type { Services } from "./ports.ts";

/**
 * Those of some texts that a family has rows of, as the next part of their keys. Rows are in the order of their keys, so that each look-up
 * tells of all texts up to the next one that has some: of hundreds that have none, one look-up tells.
 */
export async function presentIn(
  { metadata }: Pick<Services, "metadata">,
  family: Key,
  texts: readonly string[],
): Promise<ReadonlySet<string>> {
  const sorted = texts.toSorted();
  const present = new Set<string>();
  let at = 0;
  for (let from = sorted[at]; from !== undefined; from = sorted[at]) {
    const [row] = await metadata.list({ start: [...family, from], end: [...family, LAST], limit: 1 });
    if (row === undefined) break;
    const found = String(row.key[family.length]);
    present.add(found);
    for (let text = sorted[at]; text !== undefined && text <= found; text = sorted[at]) at += 1;
  }
  return present;
}
