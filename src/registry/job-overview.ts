import { encodedOf } from "../oci/digest.ts";
import { keys, under } from "../storage/keys.ts";
import { collectionRecord, leaseRecord, verificationRecord } from "../storage/records.ts";
import type { Services } from "./ports.ts";
import { VERIFY_ALL, progressOf } from "./verify-run.ts";

type Needs = Pick<Services, "metadata" | "clock">;

/** More jobs than there are. */
const MAX_JOBS = 64;
/** A collection first goes through records, then through files, both by digest. */
const COLLECTION = "collect-garbage";

/** A job, as its lease tells of it. */
export interface KnownJob {
  readonly name: string;
  /** Does a worker do it now? */
  readonly isRunning: boolean;
  /** When it is due (epoch, ms); of one that runs, when it began plus its interval. */
  readonly dueAt: number;
  /** How far it is, from 0 to 1; undefined where that cannot be told, or it does not run. */
  readonly progress: number | undefined;
}

/** The jobs that workers have done so far, by name. */
export async function jobOverview(needs: Needs): Promise<readonly KnownJob[]> {
  const rows = await needs.metadata.list(under(keys.leases(), MAX_JOBS));
  return Promise.all(
    rows.map(async ({ key, value }) => {
      const { holder, until, dueAt } = leaseRecord.parse(value);
      const name = String(key[1]);
      return { name, isRunning: holder !== null && until > needs.clock(), dueAt, progress: await progressOfJob(needs, name) };
    }),
  );
}

async function progressOfJob({ metadata }: Needs, name: string): Promise<number | undefined> {
  const entry = await metadata.get(keys.job(name));
  if (entry === undefined) return undefined;
  if (name === VERIFY_ALL) {
    const { current } = verificationRecord.parse(entry.value);
    return current === null ? undefined : progressOf(current);
  }
  if (name !== COLLECTION) return undefined;
  const { phase, after } = collectionRecord.parse(entry.value);
  if (after === null) return undefined;
  const part = Number.parseInt(encodedOf(after).slice(0, 8), 16) / 2 ** 32;
  return (phase === "records" ? part : 1 + part) / 2;
}
