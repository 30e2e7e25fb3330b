import { namespacesWith } from "../identity/authorize.ts";
import { administersKeysOf } from "../identity/grant.ts";
import type { Principal } from "../identity/principal.ts";
import { isIdentityName } from "../identity/name.ts";
import { RegistryError } from "../oci/errors.ts";
import { keys } from "../storage/keys.ts";
import type { Expectation } from "../storage/metadata-store.ts";
import type { IdentityRecord } from "../storage/records.ts";
import { auditEvent } from "./audit-event.ts";
import { decideAndCommit } from "./commit.ts";
import { findIdentity } from "./identities.ts";
import type { Caller, Services } from "./ports.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId">;

/** What is wanted of an identity, and why. */
export interface Disabling {
  readonly name: string;
  readonly isDisabled: boolean;
  readonly reason: string;
}

/**
 * Ends all keys, tokens and sessions of an identity from the next request on, and its downloads within a second, or has its keys count
 * again; tokens and sessions of before stay ended. What is so already stays. Throws NOT_FOUND where the caller does not administer its
 * keys, and DENIED for itself.
 */
export async function disableIdentity(services: Needs, caller: Caller, { name, isDisabled, reason }: Disabling): Promise<IdentityRecord> {
  return decideAndCommit(services, async () => {
    const found = isIdentityName(name) ? await findIdentity(services, name) : undefined;
    if (found === undefined || !administersKeysOf(caller.principal, name, found.record)) {
      throw new RegistryError("NOT_FOUND", "there is no such identity, or none whose keys you administer");
    }
    const refused = refusalOfDisabling(caller.principal, name);
    if (refused !== undefined) throw new RegistryError("DENIED", refused);
    const own = await ownIdentity(services, caller);
    const { record, version } = found;
    if (record.disabled === isDisabled) return { result: record };
    const changed: IdentityRecord = { ...record, disabled: isDisabled, epoch: record.epoch + 1 };
    const event = auditEvent(services, caller.actor, {
      type: isDisabled ? "identity.disable" : "identity.enable",
      target: { kind: "identity", name },
      reason,
      before: { disabled: record.disabled },
      after: { disabled: isDisabled },
    });
    const key = keys.identity(name);
    const put = [
      { key, value: changed },
      { key: keys.servingEpoch(), value: { at: services.clock() } },
    ];
    return { change: { expect: [{ key, version }, own], put, remove: [], audit: [event] }, result: changed };
  });
}

/** That the caller is not disabled itself by now: two operators who disable each other at one moment would leave none. Throws DENIED where it is. */
async function ownIdentity(services: Needs, { principal: { name } }: Caller): Promise<Expectation> {
  const own = await findIdentity(services, name);
  if (own === undefined || own.record.disabled) throw new RegistryError("DENIED", "your identity is disabled: nothing was changed");
  return { key: keys.identity(name), version: own.version };
}

/** Why the caller may not disable an identity whose keys it administers; undefined where it may. */
export function refusalOfDisabling(principal: Principal, name: string): string | undefined {
  if (namespacesWith(principal, "administer:keys") !== "*") return "operators alone disable and enable identities; revoke its keys instead";
  return principal.name === name ? "nobody disables itself, or enables itself: another operator does" : undefined;
}
