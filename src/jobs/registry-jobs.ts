import type { Services } from "../registry/ports.ts";
import { finishRevocationsEverywhere } from "../registry/revoke-everywhere.ts";
import { repairRuntimeTree } from "../registry/runtime-folders.ts";
import { collectGarbage } from "./collect-garbage.ts";
import { expireUploads } from "./expire-uploads.ts";
import type { Job } from "./scheduler.ts";

/** How often each job runs and what it spares, in milliseconds. */
export interface JobTimes {
  readonly collectInterval: number;
  /** An upload that nobody went on with for so long is removed. */
  readonly uploadExpiry: number;
}

/** A revocation everywhere is in force, and followed up, at once, and so are folders; what a crash left of that is made good within so long. */
const REPAIR_INTERVAL = 60_000;

/** Everything that the registry does without being asked. */
export function registryJobs(services: Services, { collectInterval, uploadExpiry }: JobTimes): readonly Job[] {
  return [
    { name: "revoke-everywhere", every: REPAIR_INTERVAL, run: () => finishRevocationsEverywhere(services) },
    { name: "repair-runtime-tree", every: REPAIR_INTERVAL, run: () => repairRuntimeTree(services) },
    { name: "expire-uploads", every: collectInterval, run: (signal) => expireUploads(services, { lifetime: uploadExpiry, signal }) },
    { name: "collect-garbage", every: collectInterval, run: (signal) => collectGarbage(services, signal) },
  ];
}
