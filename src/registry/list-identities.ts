import { namespacesWith, registryRights } from "../identity/authorize.ts";
import { administersKeysOf } from "../identity/grant.ts";
import { isIdentityName } from "../identity/name.ts";
import type { Principal } from "../identity/principal.ts";
import { RegistryError } from "../oci/errors.ts";
import { keys, under } from "../storage/keys.ts";
import { type CredentialRecord, type IdentityRecord, credentialRecord, identityRecord } from "../storage/records.ts";
import { credentialsOf } from "./credential-rows.ts";
import { type FoundIdentity, findIdentity } from "./identities.ts";
import { type ListedCredential, namesAfter, withUse } from "./list-credentials.ts";
import type { Caller, Services } from "./ports.ts";

type Needs = Pick<Services, "metadata">;

/** A page of identities; `next` is the last name of it, where there are more. */
export interface IdentityPage {
  readonly identities: readonly IdentityRecord[];
  readonly next: string | undefined;
}

/** A key and what a change of it rests on. */
export interface HeldKey extends ListedCredential {
  readonly version: number;
}

/** An identity with its API keys, newest first; undefined for who sees the identity and administers no key of it. */
export interface ShownIdentity extends FoundIdentity {
  readonly keys: readonly HeldKey[] | undefined;
}

/**
 * A page of identities by name: all of them for operators and auditors, who read of each in the audit, for others those whose keys they may
 * administer.
 */
export async function listIdentities(
  services: Needs,
  { principal }: Caller,
  { limit, after }: { readonly limit: number; readonly after: string | undefined },
): Promise<IdentityPage> {
  if (principal.access !== undefined) return { identities: [], next: undefined };
  if (seesAll(principal)) {
    const rows = await services.metadata.list(under(keys.identities(), limit + 1, after === undefined ? [] : [after]));
    return pageOf(
      rows.map(({ value }) => identityRecord.parse(value)),
      limit,
    );
  }
  const names = (await namesAfter(services, principal, after)).filter((name) => name !== after).slice(0, limit + 1);
  const found = await Promise.all(names.map((name) => findIdentity(services, name)));
  return pageOf(
    found.flatMap((each) => (each === undefined ? [] : [each.record])),
    limit,
  );
}

function pageOf(found: readonly IdentityRecord[], limit: number): IdentityPage {
  const identities = found.slice(0, limit);
  return { identities, next: found.length > limit ? identities.at(-1)?.name : undefined };
}

/** An identity that the caller may know of. Throws NOT_FOUND for all others, those among them that do not exist. */
export async function showIdentity(services: Needs, { principal }: Caller, name: string): Promise<ShownIdentity> {
  const found = isIdentityName(name) ? await findIdentity(services, name) : undefined;
  const isAdministered = found !== undefined && administersKeysOf(principal, name, found.record);
  if (found === undefined || !(isAdministered || (principal.access === undefined && seesAll(principal)))) {
    throw new RegistryError("NOT_FOUND", "there is no such identity, or none whose keys you administer");
  }
  return { ...found, keys: isAdministered ? await keysOf(services, name) : undefined };
}

function seesAll(principal: Principal): boolean {
  return namespacesWith(principal, "administer:keys") === "*" || registryRights(principal).has("audit");
}

async function keysOf(services: Needs, name: string): Promise<readonly HeldKey[]> {
  const held = (await credentialsOf(services, name)).filter(({ kind }) => kind === "api-key");
  const found = await Promise.all(held.toReversed().map(async ({ id }) => heldKey(services, id)));
  return found.filter((key) => key !== undefined);
}

async function heldKey(services: Needs, id: CredentialRecord["id"]): Promise<HeldKey | undefined> {
  const entry = await services.metadata.get(keys.credential(id));
  return entry && { ...(await withUse(services, credentialRecord.parse(entry.value))), version: entry.version };
}
