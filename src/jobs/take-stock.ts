import { digestSchema } from "../oci/digest.ts";
import { repositoryNameSchema } from "../oci/reference.ts";
import type { Services } from "../registry/ports.ts";
import { EVERYWHERE } from "../registry/artifact-index.ts";
import { TAKE_STOCK } from "../registry/measure.ts";
import { rowsOf } from "../registry/ordered-rows.ts";
import { keys, under } from "../storage/keys.ts";
import type { Entry, Key } from "../storage/metadata-store.ts";
import { type StockRecord, credentialRecord } from "../storage/records.ts";

type Needs = Pick<Services, "metadata" | "clock">;

const DAY = 24 * 60 * 60 * 1000;
/** How soon (ms) a key has to end to be counted, by the name that the count gets. */
const WINDOWS = [
  ["1d", DAY],
  ["7d", 7 * DAY],
  ["30d", 30 * DAY],
] as const;
const PAGE = 100;
/** Rows that one look reads at most, of each kind: it takes a few seconds of the ten minutes between two. */
const MOST = 100_000;

/**
 * Looks through what waits for a decision, and through the keys that end soon, and keeps what it found for whoever collects metrics, whose
 * question so costs the same however much there is. How many rows it looked at.
 */
export async function takeStock(services: Needs, signal?: AbortSignal): Promise<number> {
  const expiring = { "1d": 0, "7d": 0, "30d": 0 };
  let looked = 0;
  for await (const { value } of rows(services, keys.credentials(), signal)) {
    looked += 1;
    const left = timeLeft(services, value);
    for (const [window, within] of WINDOWS) if (left <= within) expiring[window] += 1;
  }
  let oldestWaiting: number | null = null;
  // In order of age, so that hardly more than the first one is looked at; those of earlier versions come with their index.
  for await (const { key } of rows(services, keys.waitings(EVERYWHERE), signal)) {
    looked += 1;
    if (await isPartOfTrusted(services, key)) continue;
    oldestWaiting = Number(key[2]);
    break;
  }
  if (signal?.aborted === true) return looked;
  const value: StockRecord = { v: 1, oldestWaiting, expiring };
  await services.metadata.commit({ expect: [], put: [{ key: keys.job(TAKE_STOCK), value }], remove: [], audit: [] });
  return looked;
}

/** How long (ms) until a key ends by itself; for ever for one that does not, or has ended. */
function timeLeft({ clock }: Needs, value: unknown): number {
  const { kind, expiresAt, revokedAt } = credentialRecord.parse(value);
  const left = expiresAt === null || revokedAt !== null || kind !== "api-key" ? Infinity : expiresAt - clock();
  return left > 0 ? left : Infinity;
}

/** What a trusted root reaches is not decided by itself. */
async function isPartOfTrusted({ metadata }: Needs, [, , , name, digest]: Key): Promise<boolean> {
  const content = { kind: "manifest", digest: digestSchema.parse(digest) } as const;
  return (await metadata.list(under(keys.reaches(repositoryNameSchema.parse(name), content), 1))).length > 0;
}

/** The rows below a key, up to a bound. */
async function* rows(services: Needs, prefix: Key, signal: AbortSignal | undefined): AsyncGenerator<Entry> {
  let seen = 0;
  for await (const row of rowsOf(services, [under(prefix, PAGE)])) {
    if (signal?.aborted === true || (seen += 1) > MOST) return;
    yield row;
  }
}
