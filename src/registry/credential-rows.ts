import { createSecret } from "../identity/api-key.ts";
import { createSessionId } from "../identity/session-id.ts";
import { keys, under } from "../storage/keys.ts";
import type { Key, Put } from "../storage/metadata-store.ts";
import type { CredentialRecord } from "../storage/records.ts";
import { loadCredential, secretHmac } from "./find-credential.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "clock" | "newId" | "random" | "secretFor">;

/** A credential that was just made, with its secret, which is kept nowhere. */
export interface FreshCredential {
  readonly record: CredentialRecord;
  readonly secret: string;
}

/** What is chosen of a new credential. */
export type CredentialChoice = Pick<
  CredentialRecord,
  "kind" | "identity" | "createdBy" | "expiresAt" | "idleMilliseconds" | "parent" | "epoch"
>;

/** Makes a secret, or takes one that exists already, and the record that keeps its keyed hash. */
export function freshCredential(services: Needs, choice: CredentialChoice, existing?: string): FreshCredential {
  const secret = existing ?? secretOf(choice.kind, services);
  const record: CredentialRecord = {
    v: 1,
    id: services.newId(),
    ...choice,
    secretHmac: secretHmac(services, secret),
    createdAt: services.clock(),
    revokedAt: null,
  };
  return { record, secret };
}

function secretOf(kind: CredentialRecord["kind"], { random }: Needs): string {
  return kind === "session" ? createSessionId(random) : createSecret(kind, random);
}

/** The rows of a new credential. */
export function credentialPuts(record: CredentialRecord): readonly Put[] {
  return [
    { key: keys.credential(record.id), value: record },
    { key: keys.credentialSecret(record.secretHmac), value: record.id },
    { key: keys.identityCredential(record.identity, record.id), value: null },
  ];
}

/** All rows of a credential that is to be forgotten. */
export function credentialKeys(record: CredentialRecord): readonly Key[] {
  return [
    keys.credential(record.id),
    keys.credentialSecret(record.secretHmac),
    keys.identityCredential(record.identity, record.id),
    keys.credentialUse(record.id),
  ];
}

/** More credentials than one identity can have: makers of credentials remove those that ended long ago. */
const MAX_OF_IDENTITY = 500;

/** The credentials of an identity, ended ones included, oldest first. */
export async function credentialsOf({ metadata }: Pick<Services, "metadata">, identity: string): Promise<readonly CredentialRecord[]> {
  const rows = await metadata.list(under(keys.identityCredentials(identity), MAX_OF_IDENTITY));
  const records = await Promise.all(rows.map(({ key }) => loadCredential({ metadata }, String(key[2]))));
  return records.filter((record) => record !== undefined);
}
