import { digestSchema } from "../oci/digest.ts";
import { STATEMENT_RANK } from "../oci/referrer.ts";
import { repositoryNameSchema } from "../oci/reference.ts";
import { loadManifest } from "../registry/closure.ts";
import { decideAndCommit } from "../registry/commit.ts";
import { referrerTurnKey } from "../registry/manifest-rows.ts";
import { rowsOf } from "../registry/ordered-rows.ts";
import type { Services } from "../registry/ports.ts";
import { REFERRER_INDEX } from "../registry/referrers-by-turns.ts";
import { findManifest } from "../registry/serving.ts";
import { keys, under } from "../storage/keys.ts";
import type { Change, Key } from "../storage/metadata-store.ts";
import { type ReferrerIndexRecord, referrerIndexRecord } from "../storage/policy-records.ts";

type Needs = Pick<Services, "metadata">;

/** Referrers of one change. */
const PAGE = 256;

/**
 * Indexes the referrers that earlier versions took in by who attached them, once in the life of a store: later ones come with that row. It
 * can end anywhere and goes on where it was.
 */
export async function indexReferrers(needs: Needs, signal?: AbortSignal): Promise<void> {
  const entry = await needs.metadata.get(REFERRER_INDEX);
  const before = entry && referrerIndexRecord.parse(entry.value);
  if (before?.status === "done") return;
  let page: Key[] = [];
  for await (const { key } of rowsOf(needs, [under(keys.allReferrers(), PAGE, before?.after ?? [])])) {
    if (signal?.aborted === true) return;
    page.push(key);
    if (page.length === PAGE) page = await write(needs, page, { v: 1, status: "under-way", after: key.slice(1) });
  }
  await write(needs, page, { v: 1, status: "done", after: null });
}

async function write(needs: Needs, page: readonly Key[], progress: ReferrerIndexRecord): Promise<Key[]> {
  return decideAndCommit(needs, async () => {
    const rows = await Promise.all(page.map((key) => rowOf(needs, key)));
    const written = rows.flatMap((row) => (row === undefined ? [] : [row]));
    const put = [...written.flatMap((row) => row.put), { key: REFERRER_INDEX, value: progress }];
    return { change: { expect: written.flatMap(({ expect }) => expect), put, remove: [], audit: [] }, result: [] };
  });
}

async function rowOf(needs: Needs, [, name, , rank, digest]: Key): Promise<Pick<Change, "expect" | "put"> | undefined> {
  if (Number(rank) === STATEMENT_RANK) return undefined;
  const repository = repositoryNameSchema.parse(name);
  const found = await findManifest(needs, repository, digestSchema.parse(digest));
  const manifest = found && (await loadManifest(needs, repository, found.record));
  const key = found && manifest && referrerTurnKey({ repository, record: found.record, manifest });
  if (found === undefined || key === undefined) return undefined;
  return { expect: [{ key: keys.manifest(repository, found.record.digest), version: found.version }], put: [{ key, value: {} }] };
}
