import { onJobAsked } from "../registry/asked-jobs.ts";
import { finishFileRemovals } from "../registry/file-removal.ts";
import type { Services } from "../registry/ports.ts";
import { finishRevocationsEverywhere } from "../registry/revoke-everywhere.ts";
import { TAKE_STOCK } from "../registry/measure.ts";
import { repairRuntimeTree } from "../registry/runtime-folders.ts";
import type { ResultServices } from "../registry/verify-result.ts";
import { SIGN_STATEMENTS } from "../registry/unsigned-statements.ts";
import { FOLLOW_AUTHORITIES } from "../registry/revoke-authority.ts";
import { VERIFY_ALL } from "../registry/verify-run.ts";
import { collectGarbage } from "./collect-garbage.ts";
import { expireUploads } from "./expire-uploads.ts";
import { INDEX_ARTIFACTS } from "../registry/artifact-index.ts";
import { followAuthorities } from "./follow-authorities.ts";
import { indexArtifacts } from "./index-artifacts.ts";
import type { Job } from "./scheduler.ts";
import { signStatements } from "./sign-statements.ts";
import { indexReferrers } from "./index-referrers.ts";
import { takeStock } from "./take-stock.ts";
import { verifyAll } from "./verify-all.ts";

/** How often each job runs and what it spares, in milliseconds, and at which rate. */
export interface JobTimes {
  readonly collectInterval: number;
  /** An upload that nobody went on with for so long is removed. */
  readonly uploadExpiry: number;
  /** Zero: blobs are checked only when somebody asks for it. */
  readonly verifyInterval: number;
  /** Bytes a second of such a check; zero: any. */
  readonly verifyRate: number;
  /** Does this process answer others just now? */
  readonly isAnswering?: (() => boolean) | undefined;
}

/** A revocation everywhere is in force, and followed up, at once, and so are folders; what a crash left of that is made good within so long. */
const REPAIR_INTERVAL = 60_000;

/** A check of all blobs begins at once in the worker that is asked; it is due, or left by a crashed worker, for so long at most. */
const VERIFY_INTERVAL = 60_000;

/** Metrics that take long to find are as old as this. */
const STOCK_INTERVAL = 600_000;

/** Everything that the registry does without being asked. */
export function registryJobs(services: Services & ResultServices, times: JobTimes): readonly Job[] {
  const { collectInterval, uploadExpiry, verifyInterval, verifyRate, isAnswering } = times;
  return [
    { name: "revoke-everywhere", every: REPAIR_INTERVAL, run: () => finishRevocationsEverywhere(services) },
    { name: "repair-runtime-tree", every: REPAIR_INTERVAL, run: () => repairRuntimeTree(services) },
    { name: "remove-files", every: REPAIR_INTERVAL, run: () => finishFileRemovals(services) },
    { name: INDEX_ARTIFACTS, every: REPAIR_INTERVAL, run: (signal) => indexArtifacts(services, signal) },
    { name: "index-referrers", every: REPAIR_INTERVAL, run: (signal) => indexReferrers(services, signal) },
    { name: SIGN_STATEMENTS, every: REPAIR_INTERVAL, run: (signal) => signStatements(services, signal) },
    {
      name: FOLLOW_AUTHORITIES,
      every: REPAIR_INTERVAL,
      run: (signal) => followAuthorities(services, signal),
      onAsked: (begin) => onJobAsked(services.metadata, FOLLOW_AUTHORITIES, begin),
    },
    { name: "expire-uploads", every: collectInterval, run: (signal) => expireUploads(services, { lifetime: uploadExpiry, signal }) },
    { name: TAKE_STOCK, every: STOCK_INTERVAL, run: (signal) => takeStock(services, signal) },
    { name: "collect-garbage", every: collectInterval, run: (signal) => collectGarbage(services, signal) },
    {
      name: VERIFY_ALL,
      every: VERIFY_INTERVAL,
      run: (signal) => verifyAll(services, { interval: verifyInterval, rate: verifyRate, isAnswering }, signal),
      onAsked: (begin) => onJobAsked(services.metadata, VERIFY_ALL, begin),
    },
  ];
}
