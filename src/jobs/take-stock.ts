import { digestSchema } from "../oci/digest.ts";
import { repositoryNameSchema } from "../oci/reference.ts";
import type { Services } from "../registry/ports.ts";
import { TAKE_STOCK } from "../registry/measure.ts";
import { rowsOf } from "../registry/ordered-rows.ts";
import { keys, under } from "../storage/keys.ts";
import type { Entry, Key } from "../storage/metadata-store.ts";
import { type StockRecord, credentialRecord, manifestRecord } from "../storage/records.ts";

type Needs = Pick<Services, "metadata" | "clock">;

const DAY = 24 * 60 * 60 * 1000;
/** How soon (ms) a key has to end to be counted, by the name that the count gets. */
const WINDOWS = [
  ["1d", DAY],
  ["7d", 7 * DAY],
  ["30d", 30 * DAY],
] as const;
const WAITING = ["quarantined", "acquired"] as const;
const PAGE = 100;
/** Rows that one look reads at most, of each kind: it takes a few seconds of the ten minutes between two. */
const MOST = 100_000;

/**
 * Looks through what waits for a decision, and through the keys that end soon, and keeps what it found for whoever collects metrics, whose
 * question so costs the same however much there is. How many rows it looked at.
 */
export async function takeStock(services: Needs, signal?: AbortSignal): Promise<number> {
  const expiring = { "1d": 0, "7d": 0, "30d": 0 };
  let [looked, oldestWaiting] = [0, Infinity];
  for await (const { value } of rows(services, keys.credentials(), signal)) {
    looked += 1;
    const left = timeLeft(services, value);
    for (const [window, within] of WINDOWS) if (left <= within) expiring[window] += 1;
  }
  for (const state of WAITING) {
    for await (const { key } of rows(services, keys.artifactsIn(state), signal)) {
      looked += 1;
      oldestWaiting = Math.min(oldestWaiting, await waitingSince(services, key));
    }
  }
  if (signal?.aborted === true) return looked;
  const value: StockRecord = { v: 1, oldestWaiting: oldestWaiting === Infinity ? null : oldestWaiting, expiring };
  await services.metadata.commit({ expect: [], put: [{ key: keys.job(TAKE_STOCK), value }], remove: [], audit: [] });
  return looked;
}

/** How long (ms) until a key ends by itself; for ever for one that does not, or has ended. */
function timeLeft({ clock }: Needs, value: unknown): number {
  const { kind, expiresAt, revokedAt } = credentialRecord.parse(value);
  const left = expiresAt === null || revokedAt !== null || kind !== "api-key" ? Infinity : expiresAt - clock();
  return left > 0 ? left : Infinity;
}

/** Since when (epoch, ms) an artifact waits; for ever for what is not decided by itself: evidence, and parts of what is trusted. */
async function waitingSince({ metadata }: Needs, [, , name, digest]: Key): Promise<number> {
  const [repository, manifest] = [repositoryNameSchema.parse(name), digestSchema.parse(digest)];
  const found = await metadata.get(keys.manifest(repository, manifest));
  if (found === undefined) return Infinity;
  const { subject, pushedAt } = manifestRecord.parse(found.value);
  if (subject !== null) return Infinity;
  const roots = await metadata.list(under(keys.reaches(repository, { kind: "manifest", digest: manifest }), 1));
  return roots.length === 0 ? pushedAt : Infinity;
}

/** The rows below a key, up to a bound. */
async function* rows(services: Needs, prefix: Key, signal: AbortSignal | undefined): AsyncGenerator<Entry> {
  let seen = 0;
  for await (const row of rowsOf(services, [under(prefix, PAGE)])) {
    if (signal?.aborted === true || (seen += 1) > MOST) return;
    yield row;
  }
}
