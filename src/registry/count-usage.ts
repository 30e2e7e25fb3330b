import { keys, under } from "../storage/keys.ts";
import type { Entry, Key } from "../storage/metadata-store.ts";
import { type Amounts, COUNTED_FAMILIES, amountsOf, sumOf } from "./counted-metadata.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata">;

const PAGE = 1000;

/** What all namespaces hold, counted anew from every row. */
export async function countUsage({ metadata }: Needs): Promise<ReadonlyMap<string, Amounts>> {
  const counted = new Map<string, Amounts>();
  for await (const entry of countedRows({ metadata })) {
    const found = amountsOf(entry);
    const before = found && counted.get(found.namespace);
    if (found !== undefined) counted.set(found.namespace, before === undefined ? found.amounts : sumOf(before, found.amounts));
  }
  return counted;
}

async function* countedRows({ metadata }: Needs): AsyncGenerator<Entry> {
  for (const family of COUNTED_FAMILIES) {
    let after: Key[number][] | undefined = [];
    while (after !== undefined) {
      const page: readonly Entry[] = await metadata.list(under([family], PAGE, after));
      yield* page;
      after = page.length < PAGE ? undefined : page.at(-1)?.key.slice(1);
    }
  }
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
