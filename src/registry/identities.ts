import { keys } from "../storage/keys.ts";
import type { Put } from "../storage/metadata-store.ts";
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

/** The rows of a new identity. */
export function identityPuts(record: IdentityRecord): readonly Put[] {
  return [
    { key: keys.identity(record.name), value: record },
    { key: keys.personIdentity(record.countsAs, record.name), value: null },
  ];
}
