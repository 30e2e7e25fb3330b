import { z } from "zod";
import { isRepositoryName, namespaceOf } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { Change, Entry, Expectation, Key, MetadataStore } from "../storage/metadata-store.ts";
import type { UsageRecord } from "../storage/records.ts";
import { StateGrowth } from "./count-states.ts";
import { REGISTRY_ITSELF } from "./own-blobs.ts";
import type { Services } from "./ports.ts";
import { overQuota, quotaOf, usageOf } from "./quotas.ts";

export type Amounts = Omit<UsageRecord, "v">;
const NONE: Amounts = { bytes: 0, artifacts: 0, manifests: 0, tags: 0 };

/** Of a link and a manifest's record, as much as counts: far less than a look at the whole of them. */
const countedLink = z.object({ size: z.number(), by: z.string() });
const countedManifest = z.object({ statement: z.boolean(), state: z.string(), subject: z.string().nullable(), size: z.number() });

/**
 * What a row counts for the namespace that it is in. Logical bytes: each repository's links and manifests, whoever else holds the same. What
 * the registry itself writes of an artifact counts for nobody, so that no quota stands in the way of a promotion or revocation.
 */
const COUNTED: Readonly<Record<string, (value: unknown) => Amounts>> = {
  link: (value) => {
    const { size, by } = countedLink.parse(value);
    return by === REGISTRY_ITSELF ? NONE : { ...NONE, bytes: size };
  },
  manifest: (value) => {
    const { statement, state, subject, size } = countedManifest.parse(value);
    if (statement || state === "deleted") return NONE;
    return { bytes: size, artifacts: subject === null ? 1 : 0, manifests: 1, tags: 0 };
  },
  "tag-pushed": () => ({ ...NONE, tags: 1 }),
};

/** What an entry counts, and for which namespace; undefined when it is of no kind that counts. */
export function amountsOf({
  key,
  value,
}: Pick<Entry, "key" | "value">): { readonly namespace: string; readonly amounts: Amounts } | undefined {
  const count = COUNTED[key[0]];
  const repository = key[1];
  if (count === undefined || typeof repository !== "string" || !isRepositoryName(repository)) return undefined;
  return { namespace: namespaceOf(repository), amounts: value === undefined ? NONE : count(value) };
}

/** The families of keys that count. */
export const COUNTED_FAMILIES: readonly string[] = Object.keys(COUNTED);

export function sumOf(left: Amounts, right: Amounts, sign: 1 | -1 = 1): Amounts {
  return {
    bytes: left.bytes + sign * right.bytes,
    artifacts: left.artifacts + sign * right.artifacts,
    manifests: left.manifests + sign * right.manifests,
    tags: left.tags + sign * right.tags,
  };
}

/**
 * A metadata store that counts what namespaces hold, and how many artifacts are in each state, in the change itself, whoever makes it; and
 * that refuses a change by which a namespace would hold more than its quota. It holds when many come at once: the store adds up while nobody
 * else writes.
 */
export function countedMetadata(store: MetadataStore, settings: Pick<Services["settings"], "quota">): MetadataStore {
  return {
    get: (key) => store.get(key),
    list: (range) => store.list(range),
    commit: async (change) => {
      const { grown, states, expect } = await growthOf(store, change);
      if (grown.size === 0 && states.length === 0) return store.commit(change);
      const add = await Promise.all(
        [...grown].map(async ([namespace, amounts]) => addition({ metadata: store, settings }, namespace, amounts)),
      );
      return store.commit({ ...change, expect: [...change.expect, ...expect], add: [...(change.add ?? []), ...add, ...states] });
    },
    close: () => store.close(),
  };
}

interface Growth {
  readonly grown: ReadonlyMap<string, Amounts>;
  /** To the number of artifacts in each state. */
  readonly states: NonNullable<Change["add"]>;
  /** That what was there before is still there. */
  readonly expect: readonly Expectation[];
}

async function growthOf(store: Pick<MetadataStore, "get">, change: Change): Promise<Growth> {
  const grown = new Map<string, Amounts>();
  const expect: Expectation[] = [];
  const states = new StateGrowth();
  for (const { key, value } of finalRows(change)) {
    const after = amountsOf({ key, value });
    if (after === undefined) continue;
    const old = await store.get(key);
    expect.push({ key, version: old?.version ?? "absent" });
    states.add(key, old?.value, value);
    const before = amountsOf({ key, value: old?.value })?.amounts;
    const growth = sumOf(after.amounts, before ?? NONE, -1);
    grown.set(after.namespace, sumOf(grown.get(after.namespace) ?? NONE, growth));
  }
  const changed = new Map([...grown].filter(([, amounts]) => Object.values(amounts).some((amount) => amount !== 0)));
  return { grown: changed, states: states.additions(), expect };
}

/** The rows that count as the change leaves them, each once; undefined for what is gone. */
function finalRows({ put, remove }: Change): Iterable<{ readonly key: Key; readonly value: unknown }> {
  const rows = new Map<string, { readonly key: Key; readonly value: unknown }>();
  const note = (key: Key, value: unknown): void => {
    if (Object.hasOwn(COUNTED, key[0])) rows.set(JSON.stringify(key), { key, value });
  };
  for (const key of remove) note(key, undefined);
  for (const { key, value } of put) note(key, value);
  return rows.values();
}

async function addition(
  needs: Parameters<typeof quotaOf>[0],
  namespace: string,
  amounts: Amounts,
): Promise<NonNullable<Change["add"]>[number]> {
  const most: Record<string, number> = {};
  if (Object.values(amounts).some((amount) => amount > 0)) {
    const quota = await quotaOf(needs, namespace);
    for (const resource of ["bytes", "artifacts", "manifests", "tags"] as const) {
      const limit = quota[resource];
      if (limit === null || amounts[resource] <= 0) continue;
      const { [resource]: used } = await usageOf(needs, namespace);
      if (used + amounts[resource] > limit) throw overQuota({ namespace, resource, limit, used, wanted: amounts[resource] });
      most[resource] = limit;
    }
  }
  return { key: keys.usage(namespace), add: { ...amounts }, most };
}
