import { type Permission } from "../../identity/permission.ts";
import { decideGrant } from "../../identity/grant.ts";
import { permissionsOf } from "../../identity/role.ts";
import { refusalOfMaker, refusalOfOwner } from "../../identity/own-namespace.ts";
import type { Principal } from "../../identity/principal.ts";
import { refusalOfDisabling } from "../../registry/disable-identity.ts";
import { endOf, isIdle } from "../../registry/find-credential.ts";
import { type HeldKey, type ShownIdentity as FoundIdentity, showIdentity } from "../../registry/list-identities.ts";
import { findNamespace } from "../../registry/namespaces.ts";
import type { Caller, Services } from "../../registry/ports.ts";
import { type HeldRole, type IdentityHindrances, type ShownKey, identityPage } from "../../ui/identity.ts";
import type { Ask } from "../route.ts";
import type { Pages } from "./page.ts";
import { viewerOf } from "./session-gate.ts";
import { wholeNumber } from "./whole-number.ts";

type Needs = Pick<Services, "metadata" | "clock">;

const SOON = 14 * 24 * 60 * 60 * 1000;
const MAX_ROLES = 8;
/** More than can be in force at a time, so that what is left out has ended. */
const MAX_KEYS = 25;

/** The page of one identity. */
export async function showIdentityPage(services: Needs, pages: Pages, c: Ask, caller: Caller): Promise<Response> {
  const found = await showIdentity(services, caller, c.req.param("name") ?? "");
  const { record, version, keys } = found;
  const rolesFrom = Math.min(wholeNumber(c.req.query("roles"), 4) ?? 0, record.bindings.length);
  const held = keys?.toSorted((one, other) => Number(isLive(other, services.clock())) - Number(isLive(one, services.clock())));
  const main = identityPage({
    identity: {
      name: record.name,
      kind: record.kind,
      isDisabled: record.disabled,
      createdBy: record.createdBy,
      createdAt: new Date(record.createdAt).toISOString(),
    },
    countsAs: record.countsAs,
    roles: await rolesOf(services, caller.principal, found, rolesFrom),
    rolesFrom,
    rolesTotal: record.bindings.length,
    keys: held?.slice(0, MAX_KEYS).map((key) => shownKey(key, services.clock())),
    moreKeys: Math.max(0, (held?.length ?? 0) - MAX_KEYS),
    version,
    done: c.req.query("done"),
    hindrances: hindrancesOf(caller.principal, found),
    viewer: viewerOf(c),
  });
  return pages.show(c, { title: `${record.name} · identity`, section: "/ui/identities", main });
}

/** What each role gives under the registry's profile of duties, and by what the identity came to have it. */
async function rolesOf(services: Needs, { duties }: Principal, { record }: FoundIdentity, from: number): Promise<HeldRole[]> {
  return Promise.all(
    record.bindings.slice(from, from + MAX_ROLES).map(async ({ role, namespace }): Promise<HeldRole> => {
      const permissions: readonly Permission[] = permissionsOf(role, duties, namespace === "*" ? "everywhere" : "namespace");
      const made = role === "owner" ? (await findNamespace(services, namespace))?.record : undefined;
      const why =
        made?.owner === record.name
          ? `${made.createdBy} made the namespace for it, ${dayOf(made.createdAt)}`
          : `${record.createdBy} made it so, ${dayOf(record.createdAt)}`;
      return { role, namespace, permissions, why };
    }),
  );
}

function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

function shownKey({ record, use, version }: HeldKey, now: number): ShownKey {
  const { id, createdBy, createdAt, expiresAt } = record;
  return {
    id,
    standing: endOf(record, now) ?? (isIdle(record, use, now) ? "idle" : "live"),
    endsSoon: expiresAt !== null && expiresAt < now + SOON,
    createdBy,
    createdAt: new Date(createdAt).toISOString(),
    expiresAt: expiresAt === null ? null : new Date(expiresAt).toISOString(),
    usedAt: use === undefined ? null : new Date(use.at).toISOString(),
    usedFrom: use?.address,
    version,
  };
}

function isLive({ record, use }: HeldKey, now: number): boolean {
  return endOf(record, now) === undefined && !isIdle(record, use, now);
}

function hindrancesOf(principal: Principal, { record, keys }: FoundIdentity): IdentityHindrances {
  return {
    key: keyHindrance(principal, record),
    disable: keys === undefined ? "you do not administer its keys" : refusalOfDisabling(principal, record.name),
    namespace: refusalOfMaker(principal) ?? refusalOfOwner(record),
  };
}

function keyHindrance(principal: Principal, record: FoundIdentity["record"]): string | undefined {
  const [only] = record.bindings;
  if (record.disabled) return "it is disabled";
  if (only === undefined) return "it has no role";
  const grant = decideGrant(principal, record.name, only, record);
  return grant.effect === "permit" ? undefined : grant.reason;
}
