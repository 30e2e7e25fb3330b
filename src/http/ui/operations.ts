import { registryRights } from "../../identity/authorize.ts";
import { RegistryError } from "../../oci/errors.ts";
import { jobOverview, standingOf } from "../../registry/job-overview.ts";
import { type HeldNamespace, heldNamespace } from "../../registry/namespace-quota.ts";
import { listNamespaces } from "../../registry/namespaces.ts";
import { sealedMoment } from "../../registry/page-moment.ts";
import type { Caller, Services } from "../../registry/ports.ts";
import { Readiness } from "../../registry/readiness.ts";
import { firstDamaged } from "../../registry/verify-damage.ts";
import type { ResultServices } from "../../registry/verify-result.ts";
import {
  cancelVerification,
  progressOf,
  refusalOfEnding,
  refusalOfStarting,
  startVerification,
  verificationStatus,
} from "../../registry/verify-run.ts";
import { type Operations, operationsPage } from "../../ui/operations.ts";
import type { Ask, Door } from "../route.ts";
import { JOBS } from "./live-concerns.ts";
import { type Pages, redirect } from "./page.ts";
import { viewerOf } from "./session-gate.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "clock" | "newId" | "random" | "secretFor" | "log" | "settings"> & ResultServices;

/** What this is, and how it is configured, without a secret. */
export interface About {
  readonly version: string;
  readonly configuration: readonly (readonly [string, string])[];
}

/** What the page of operations needs besides use cases. */
export interface OperationsOptions {
  readonly pages: Pages;
  readonly draining: () => boolean;
  readonly about: About | undefined;
}

const MAX_NAMESPACES = 20;
const MAX_DAMAGED = 5;

/** The page of who runs the registry, and the check of all bytes, as `/v1/models/verify-all` starts and ends it. */
export function operationDoors(services: Needs, options: OperationsOptions): readonly Door[] {
  const readiness = new Readiness(services);
  return [
    {
      method: "GET",
      path: "/ui/operations",
      action: "session",
      handle: (c, caller) => show(services, { ...options, readiness }, c, caller),
    },
    {
      method: "POST",
      path: "/ui/operations/verify",
      action: "session",
      handle: async (c, caller) => {
        const why = hindrancesOf(caller).start;
        if (why !== undefined) throw new RegistryError("DENIED", why);
        await startVerification(services, caller);
        return redirect(c, "/ui/operations");
      },
    },
    {
      method: "POST",
      path: "/ui/operations/verify/cancel",
      action: "session",
      handle: async (c, caller) => {
        const why = hindrancesOf(caller).cancel;
        if (why !== undefined) throw new RegistryError("DENIED", why);
        await cancelVerification(services, caller);
        return redirect(c, "/ui/operations");
      },
    },
  ];
}

function hindrancesOf(caller: Caller): Operations["hindrances"] {
  return { start: refusalOfStarting(caller), cancel: refusalOfEnding(caller) };
}

type Shown = OperationsOptions & { readonly readiness: Readiness };

async function show(services: Needs, { pages, draining, about, readiness }: Shown, c: Ask, caller: Caller): Promise<Response> {
  const rights = registryRights(caller.principal);
  if (!rights.has("audit")) throw new RegistryError("DENIED", "this page is for auditors and operators");
  const jobs = await jobOverview(services);
  const live = { about: JOBS, since: await sealedMoment(services, caller, standingOf(jobs)) };
  const runsIt = rights.has("administer:system");
  const main = operationsPage({
    condition: draining() ? "draining" : await readiness.condition(),
    room: runsIt ? await services.blobs.room() : undefined,
    jobs: jobs.map((job) => ({ ...job, dueAt: timeOf(job.dueAt) })),
    ...(await checksOf(services)),
    damaged: await firstDamaged(services, MAX_DAMAGED),
    versions: [
      ["ai-model-registry", about?.version ?? "unknown"],
      ["Node", process.version],
      ["API and records", "schemas/, each record with its version"],
    ],
    configuration: runsIt ? (about?.configuration ?? []) : undefined,
    ...(await namespacesOf(services, caller, c.req.query("after")?.slice(0, 64))),
    hindrances: hindrancesOf(caller),
    viewer: viewerOf(c),
  });
  return pages.show(c, { title: "Operations", section: "/ui/operations", main, live });
}

async function checksOf(services: Needs): Promise<Pick<Operations, "check" | "lastCheck">> {
  const { current, last } = await verificationStatus(services);
  return {
    check:
      current === null
        ? undefined
        : { part: progressOf(current), blobs: current.blobsChecked, total: current.blobsTotal, damaged: current.blobsDamaged },
    lastCheck:
      last === null
        ? undefined
        : {
            status: last.status,
            at: timeOf(last.endedAt),
            blobs: last.blobsChecked,
            damaged: last.blobsDamaged,
            artifactsFailed: last.artifactsFailed,
          },
  };
}

async function namespacesOf(
  services: Needs,
  caller: Caller,
  after: string | undefined,
): Promise<Pick<Operations, "namespaces" | "nextNamespace">> {
  const page = await listNamespaces(services, caller, { limit: MAX_NAMESPACES, after });
  const held = await Promise.all(page.map(({ name }) => heldNamespace(services, name)));
  return { namespaces: held.map(heldOf), nextNamespace: page.length < MAX_NAMESPACES ? undefined : page.at(-1)?.name };
}

function heldOf({ namespace, quota, usage }: HeldNamespace): Operations["namespaces"][number] {
  return {
    name: namespace.name,
    owner: namespace.record.owner,
    bytes: [usage.bytes, quota.bytes],
    artifacts: [usage.artifacts, quota.artifacts],
    tags: [usage.tags, quota.tags],
  };
}

function timeOf(at: number): string {
  return new Date(at).toISOString();
}
