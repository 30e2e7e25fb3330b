import { registryRights } from "../../identity/authorize.ts";
import { countStates } from "../../registry/count-states.ts";
import { endOf } from "../../registry/find-credential.ts";
import { sealedMoment } from "../../registry/page-moment.ts";
import { listCredentials } from "../../registry/list-credentials.ts";
import type { Caller, Services } from "../../registry/ports.ts";
import { stateHistory } from "../../registry/state-history.ts";
import { countDamaged } from "../../registry/verify-damage.ts";
import { countWaiting, waitingArtifacts } from "../../registry/waiting-artifacts.ts";
import { type Overview, startPage } from "../../ui/start.ts";
import type { Door } from "../route.ts";
import { type Pages, redirect } from "./page.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "clock" | "random" | "secretFor">;

const HISTORY_DAYS = 30;
const SOON = 14 * 24 * 60 * 60 * 1000;
/** Of the caller's credentials so many are looked at. */
const MAX_CREDENTIALS = 200;

/** The start page, and the way to it. */
export function startDoors(services: Needs, pages: Pages): readonly Door[] {
  return [
    { method: "GET", path: "/ui", action: "open", handle: (c) => redirect(c, "/ui/") },
    {
      method: "GET",
      path: "/ui/",
      action: "session",
      handle: async (c, caller) => {
        const live = { about: "queue", since: await sealedMoment(services, caller) };
        return pages.show(c, { title: "Start", section: "/ui/", main: startPage(await overviewOf(services, caller)), live });
      },
    },
  ];
}

/** Counts are told to every credential, as at `/health` (RULES 32); the disk is the operator's. */
async function overviewOf(services: Needs, caller: Caller): Promise<Overview> {
  const damaged = await countDamaged(services);
  const isOperator = registryRights(caller.principal).has("administer:system");
  return {
    states: await countStates(services),
    history: (await stateHistory(services, HISTORY_DAYS)).map(({ at, counts }) => ({
      day: new Date(at).toISOString().slice(0, 10),
      counts,
    })),
    damaged: { count: damaged.count, isComplete: damaged.complete },
    waiting: await waitingOf(services, caller),
    room: isOperator ? await services.blobs.room() : undefined,
    expiring: await expiringKeys(services, caller),
  };
}

/** Of those that wait longest so many are looked at. */
const MAX_LOOKED_AT = 40;

async function waitingOf(services: Needs, caller: Caller): Promise<Overview["waiting"]> {
  const { artifacts, next } = await waitingArtifacts(services, caller, { limit: MAX_LOOKED_AT });
  const [oldest] = artifacts;
  return {
    count: next === null ? artifacts.length : await countWaiting(services, caller),
    isComplete: next === null,
    oldest: oldest && Math.max(0, services.clock() - oldest.since),
    refused: artifacts.filter(({ refusedAt }) => refusedAt !== undefined).length,
  };
}

async function expiringKeys(services: Needs, caller: Caller): Promise<Overview["expiring"]> {
  const now = services.clock();
  const listed = await listCredentials(services, caller, { limit: MAX_CREDENTIALS, after: undefined });
  return listed.flatMap(({ record }) => {
    const { kind, identity, id, expiresAt } = record;
    const isExpiring = kind === "api-key" && endOf(record, now) === undefined && expiresAt !== null && expiresAt < now + SOON;
    return isExpiring ? [{ identity, id, expiresAt: new Date(expiresAt).toISOString() }] : [];
  });
}
