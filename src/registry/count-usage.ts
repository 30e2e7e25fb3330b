import { keys, under } from "../storage/keys.ts";
import { type Amounts, COUNTED_FAMILIES, amountsOf, sumOf } from "./counted-metadata.ts";
import { rowsOf } from "./ordered-rows.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata">;

const PAGE = 256;

/** What all namespaces hold, counted anew from every row. */
export async function countUsage({ metadata }: Needs): Promise<ReadonlyMap<string, Amounts>> {
  const counted = new Map<string, Amounts>();
  const families = COUNTED_FAMILIES.map((family) => under([family], PAGE));
  for await (const entry of rowsOf({ metadata }, families)) {
    const found = amountsOf(entry);
    const before = found && counted.get(found.namespace);
    if (found !== undefined) counted.set(found.namespace, before === undefined ? found.amounts : sumOf(before, found.amounts));
  }
  return counted;
}

/**
 * Counts what namespaces hold, once in the life of a store: what an earlier version put there was not counted by its changes. Only while no
 * other process changes anything.
 */
export async function countOnce({ metadata }: Needs): Promise<void> {
  if ((await metadata.get(keys.usageCounted())) !== undefined) return;
  const counted = await countUsage({ metadata });
  const put = [...counted].map(([namespace, amounts]) => ({ key: keys.usage(namespace), value: { v: 1, ...amounts } }));
  await metadata.commit({ expect: [], put: [...put, { key: keys.usageCounted(), value: { v: 1 } }], remove: [], audit: [] });
}
