import { type Digest, digestSchema } from "../oci/digest.ts";
import { type AuthorityRevocation, revokedAuthoritySchema } from "../trust/revoked-authority.ts";
import { keys, under } from "../storage/keys.ts";
import { type RevokedAuthorityRecord, revokedAuthorityRecord } from "../storage/policy-records.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata">;

/** Revocations that hold at a time: every decision about signed evidence looks through all of them. */
export const MAX_REVOCATIONS = 256;

/** The revocation of an authority with all that is kept of it. */
export interface KnownRevocation extends AuthorityRevocation {
  readonly record: RevokedAuthorityRecord;
  readonly version: number;
}

/** The revocations of authorities that hold now, by statement. Each change of them raises the epoch of policies, which decisions expect. */
export async function authorityRevocations({ metadata }: Needs): Promise<readonly KnownRevocation[]> {
  const rows = await metadata.list(under(keys.revokedAuthorities(), MAX_REVOCATIONS));
  return rows.map(({ key, value, version }) => known(digestSchema.parse(key[1]), value, version));
}

/** One that holds, by its statement. */
export async function findRevocation({ metadata }: Needs, statement: Digest): Promise<KnownRevocation | undefined> {
  const entry = await metadata.get(keys.revokedAuthority(statement));
  return entry && known(statement, entry.value, entry.version);
}

function known(statement: Digest, value: unknown, version: number): KnownRevocation {
  const record = revokedAuthorityRecord.parse(value);
  return { authority: revokedAuthoritySchema.parse(record.authority), from: record.from, statement, record, version };
}
