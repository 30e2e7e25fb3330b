import { digestSchema } from "../oci/digest.ts";
import { STATEMENT_RANK } from "../oci/referrer.ts";
import { repositoryNameSchema } from "../oci/reference.ts";
import { loadManifest } from "../registry/closure.ts";
import { type Indexed, indexOnce } from "../registry/index-once.ts";
import { referrerTurnKey } from "../registry/manifest-rows.ts";
import type { Services } from "../registry/ports.ts";
import { REFERRER_INDEX } from "../registry/referrers-by-turns.ts";
import { findManifest } from "../registry/serving.ts";
import { keys } from "../storage/keys.ts";
import type { Entry } from "../storage/metadata-store.ts";

type Needs = Pick<Services, "metadata">;

/** Referrers of one change. */
const PAGE = 256;

/** Indexes the referrers that earlier versions took in by who attached them. False when a signal ended it. */
export async function indexReferrers(needs: Needs, signal?: AbortSignal): Promise<boolean> {
  const index = { progress: REFERRER_INDEX, family: keys.allReferrers(), page: PAGE, rowsFor: (entry: Entry) => rowsFor(needs, entry) };
  return indexOnce(needs, index, signal);
}

async function rowsFor(needs: Needs, { key: [, name, , rank, digest] }: Entry): Promise<Indexed | undefined> {
  if (Number(rank) === STATEMENT_RANK) return undefined;
  const repository = repositoryNameSchema.parse(name);
  const found = await findManifest(needs, repository, digestSchema.parse(digest));
  const manifest = found && (await loadManifest(needs, repository, found.record));
  const key = found && manifest && referrerTurnKey({ repository, record: found.record, manifest });
  if (found === undefined || key === undefined) return undefined;
  return { expect: [{ key: keys.manifest(repository, found.record.digest), version: found.version }], put: [{ key, value: {} }] };
}
