import { createHash } from "node:crypto";
import { keys, under } from "../storage/keys.ts";
import { collectionRecord, leaseRecord, verificationRecord } from "../storage/records.ts";
import type { Services } from "./ports.ts";
import { VERIFY_ALL, partOfDigests, progressOf } from "./verify-run.ts";

type Needs = Pick<Services, "metadata" | "clock">;

/** More jobs than there are. */
const MAX_JOBS = 64;
/** Of a hash, to tell two of them apart. */
const STANDING_LENGTH = 16;
/** A collection first goes through records, then through files, both by digest. */
const COLLECTION = "collect-garbage";

/** A job, as its lease tells of it. */
export interface KnownJob {
  readonly name: string;
  /** Does a worker do it now? */
  readonly isRunning: boolean;
  /** When it is due (epoch, ms); of one that runs, when it began plus its interval. */
  readonly dueAt: number;
  /** How far it is; undefined where that cannot be told, or it does not run. */
  readonly progress: JobProgress | undefined;
}

/** How far a job has come, or had when it was interrupted. */
interface JobProgress {
  /** Of all that it has to do, from 0 to 1. */
  readonly part: number;
  /** Blobs that it has looked at. */
  readonly blobs: number;
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

/** A short text that is another one when anything is that the overview tells. */
export function standingOf(jobs: readonly KnownJob[]): string {
  return createHash("sha256").update(JSON.stringify(jobs)).digest("base64url").slice(0, STANDING_LENGTH);
}

async function progressOfJob({ metadata }: Needs, name: string): Promise<JobProgress | undefined> {
  if (name !== VERIFY_ALL && name !== COLLECTION) return undefined;
  const entry = await metadata.get(keys.job(name));
  if (entry === undefined) return undefined;
  return name === VERIFY_ALL ? progressOfCheck(entry.value) : progressOfCollection(entry.value);
}

function progressOfCheck(value: unknown): JobProgress | undefined {
  const { current } = verificationRecord.parse(value);
  return current === null ? undefined : { part: progressOf(current), blobs: current.blobsChecked };
}

function progressOfCollection(value: unknown): JobProgress {
  const { phase, after, looked = 0 } = collectionRecord.parse(value);
  const part = partOfDigests(after);
  return { part: (phase === "records" ? part : 1 + part) / 2, blobs: looked };
}
