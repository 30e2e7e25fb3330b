import { keys } from "../storage/keys.ts";
import { type IdentityRecord, identityRecord } from "../storage/records.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata">;

export interface FoundIdentity {
  readonly record: IdentityRecord;
  readonly version: number;
}

/** An identity as it is now. */
export async function findIdentity({ metadata }: Needs, name: string): Promise<FoundIdentity | undefined> {
  const entry = await metadata.get(keys.identity(name));
  return entry && { record: identityRecord.parse(entry.value), version: entry.version };
}

/** As whose persons these identities count for duties (RULES 17); a name without a record, such as `service-token`, counts as itself. */
export async function personsOf(needs: Needs, names: readonly string[]): Promise<readonly string[]> {
  const found = await Promise.all(names.map(async (name) => (await findIdentity(needs, name))?.record.countsAs ?? name));
  return [...new Set(found)];
}
