import { namespacesWith } from "../identity/authorize.ts";
import { administersKeysOf } from "../identity/grant.ts";
import type { Principal } from "../identity/principal.ts";
import { keys, under } from "../storage/keys.ts";
import { type CredentialRecord, type CredentialUseRecord, credentialUseRecord } from "../storage/records.ts";
import { loadCredential } from "./find-credential.ts";
import { findIdentity } from "./identities.ts";
import type { Caller, Services } from "./ports.ts";

type Needs = Pick<Services, "metadata">;

export interface ListedCredential {
  readonly record: CredentialRecord;
  readonly use: CredentialUseRecord | undefined;
}

/** Where a page begins: after this credential, in the order of identity and id. */
export interface CredentialCursor {
  readonly identity: string;
  readonly id: string;
}

/** Identities of one person that a page looks at. */
const MAX_IDENTITIES = 1000;

/** A page of the credentials that the caller may administer: an operator all of them, an owner those it made, everybody their own. */
export async function listCredentials(
  services: Needs,
  { principal }: Caller,
  { limit, after }: { readonly limit: number; readonly after: CredentialCursor | undefined },
): Promise<readonly ListedCredential[]> {
  if (principal.access !== undefined) return [];
  if (namespacesWith(principal, "administer:keys") === "*") return listed(services, await rowsAfter(services, limit, after));
  const page: CredentialCursor[] = [];
  for (const name of await namesAfter(services, principal, after?.identity)) {
    if (page.length >= limit) break;
    page.push(...(await rowsOf(services, name, limit - page.length, after?.identity === name ? after.id : undefined)));
  }
  return listed(services, page);
}

/** The names of the identities whose keys the caller may administer without being an operator, from this one on. */
export async function namesAfter(services: Needs, principal: Principal, from: string | undefined): Promise<readonly string[]> {
  const made = await services.metadata.list(under(keys.personIdentities(principal.countsAs), MAX_IDENTITIES));
  const names = [...new Set([principal.name, ...made.map(({ key }) => String(key[2]))])].filter(
    (name) => from === undefined || name >= from,
  );
  const identities = await Promise.all(names.map((name) => findIdentity(services, name)));
  const administered = identities.flatMap((found) =>
    found && administersKeysOf(principal, found.record.name, found.record) ? [found.record] : [],
  );
  return administered.map(({ name }) => name).toSorted();
}

async function rowsAfter({ metadata }: Needs, limit: number, after: CredentialCursor | undefined): Promise<readonly CredentialCursor[]> {
  const rest = after === undefined ? [] : [after.identity, after.id];
  const rows = await metadata.list(under(keys.identitiesCredentials(), limit, rest));
  return rows.map(({ key }) => ({ identity: String(key[1]), id: String(key[2]) }));
}

async function rowsOf({ metadata }: Needs, identity: string, limit: number, after: string | undefined): Promise<CredentialCursor[]> {
  const rows = await metadata.list(under(keys.identityCredentials(identity), limit, after === undefined ? [] : [after]));
  return rows.map(({ key }) => ({ identity, id: String(key[2]) }));
}

async function listed(services: Needs, page: readonly CredentialCursor[]): Promise<readonly ListedCredential[]> {
  const records = await Promise.all(page.map(({ id }) => loadCredential(services, id)));
  return Promise.all(records.filter((record) => record !== undefined).map((record) => withUse(services, record)));
}

/** A credential with its last use. */
export async function withUse({ metadata }: Needs, record: CredentialRecord): Promise<ListedCredential> {
  const use = await metadata.get(keys.credentialUse(record.id));
  return { record, use: use && credentialUseRecord.parse(use.value) };
}
