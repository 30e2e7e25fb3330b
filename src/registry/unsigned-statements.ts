import { keys, under } from "../storage/keys.ts";
import { type SigningRecord, signingRecord } from "../storage/records.ts";
import type { Services } from "./ports.ts";

/** The job that signs what an earlier version wrote unsigned. */
export const SIGN_STATEMENTS = "sign-statements";

/** How far it has come; undefined before it has begun. */
export async function signingProgress({ metadata }: Pick<Services, "metadata">): Promise<SigningRecord | undefined> {
  const entry = await metadata.get(keys.job(SIGN_STATEMENTS));
  return entry && signingRecord.parse(entry.value);
}

/** May there be statements that are not signed yet? */
export async function mayHaveUnsigned(services: Pick<Services, "metadata">): Promise<boolean> {
  const progress = await signingProgress(services);
  if (progress !== undefined) return progress.status === "under-way";
  return (await services.metadata.list(under(keys.allStatements(), 1))).length > 0;
}
