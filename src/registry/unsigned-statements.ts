import { keys, under } from "../storage/keys.ts";
import { type ApprovalSigningRecord, approvalSigningRecord } from "../storage/policy-records.ts";
import { type SigningRecord, signingRecord } from "../storage/records.ts";
import type { Key } from "../storage/metadata-store.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata">;

/** The job that signs what an earlier version wrote unsigned, and what tells how far it has come with statements. */
export const SIGN_STATEMENTS = "sign-statements";
/** What tells how far that job has come with approvals. */
export const SIGN_APPROVALS = "sign-approvals";

/** How far it has come with statements; undefined before it has begun. */
export async function signingProgress({ metadata }: Needs): Promise<SigningRecord | undefined> {
  const entry = await metadata.get(keys.job(SIGN_STATEMENTS));
  return entry && signingRecord.parse(entry.value);
}

/** How far it has come with approvals; undefined before it has begun. */
export async function approvalSigningProgress({ metadata }: Needs): Promise<ApprovalSigningRecord | undefined> {
  const entry = await metadata.get(keys.job(SIGN_APPROVALS));
  return entry && approvalSigningRecord.parse(entry.value);
}

/** May there be statements or approvals that are not signed yet? */
export async function mayHaveUnsigned(needs: Needs): Promise<boolean> {
  if (await isLeft(needs, await signingProgress(needs), keys.allStatements())) return true;
  return isLeft(needs, await approvalSigningProgress(needs), keys.allApprovals());
}

async function isLeft({ metadata }: Needs, progress: Pick<SigningRecord, "status"> | undefined, family: Key): Promise<boolean> {
  if (progress !== undefined) return progress.status === "under-way";
  return (await metadata.list(under(family, 1))).length > 0;
}
