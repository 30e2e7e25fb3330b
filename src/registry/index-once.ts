import { under } from "../storage/keys.ts";
import type { Change, Entry, Key } from "../storage/metadata-store.ts";
import { type IndexingRecord, indexingRecord } from "../storage/records.ts";
import { type Decided, decideAndCommit } from "./commit.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata">;

/** What the index has of one row, and what that rests on. */
export type Indexed = Pick<Change, "expect" | "put">;

/** Rows that come with what they are about since some version, and have to be written once for what was there before. */
export interface Index {
  /** Where it is kept how far this has come. */
  readonly progress: Key;
  /** The family of what is indexed. */
  readonly family: Key;
  /** Rows of the family in one look-up, and one change. */
  readonly page: number;
  /** Undefined for a row that has no place in it. */
  readonly rowsFor: (entry: Entry) => Promise<Indexed | undefined>;
}

/**
 * Indexes what earlier versions left, once in the life of a store. It can end anywhere, in any process, and goes on where it was; what
 * changed while it was looked at is looked at again. False when a signal ended it.
 */
export async function indexOnce(needs: Needs, index: Index, signal?: AbortSignal): Promise<boolean> {
  for (;;) {
    if (await isIndexed(needs, index.progress)) return true;
    if (signal?.aborted === true) return false;
    await decideAndCommit(needs, () => nextPage(needs, index));
  }
}

/** Is everything indexed? Until then what an earlier version took in may be missing. */
export async function isIndexed({ metadata }: Needs, progress: Key): Promise<boolean> {
  const entry = await metadata.get(progress);
  return entry !== undefined && indexingRecord.parse(entry.value).status === "done";
}

async function nextPage({ metadata }: Needs, { progress, family, page: limit, rowsFor }: Index): Promise<Decided<void>> {
  const entry = await metadata.get(progress);
  const { status, after } = entry === undefined ? BEGINNING : indexingRecord.parse(entry.value);
  // Another process came to its end.
  if (status === "done") return { result: undefined };
  const page = await metadata.list(under(family, limit, after ?? []));
  const rows: Indexed[] = [];
  for (const each of page) rows.push((await rowsFor(each)) ?? NOTHING);
  const expect = [{ key: progress, version: entry?.version ?? ("absent" as const) }, ...rows.flatMap((row) => row.expect)];
  const put = [...rows.flatMap((row) => row.put), { key: progress, value: reached(page.at(-1)?.key.slice(family.length)) }];
  return { change: { expect, put, remove: [], audit: [] }, result: undefined };
}

const BEGINNING: IndexingRecord = { v: 1, status: "under-way", after: null };
const NOTHING: Indexed = { expect: [], put: [] };

/** With nothing more behind the last page, it is done. */
function reached(after: readonly (string | number)[] | undefined): IndexingRecord {
  return after === undefined ? { v: 1, status: "done", after: null } : { v: 1, status: "under-way", after: [...after] };
}
