import { digestSchema } from "../oci/digest.ts";
import { repositoryNameSchema } from "../oci/reference.ts";
import type { ApprovalServices } from "../registry/approval-statements.ts";
import { auditEvent } from "../registry/audit-event.ts";
import { rowsOf } from "../registry/ordered-rows.ts";
import { type ApprovalAt, signApproval } from "../registry/sign-approval.ts";
import { SYSTEM } from "../registry/system-actor.ts";
import { SIGN_APPROVALS, approvalSigningProgress } from "../registry/unsigned-statements.ts";
import { keys, under } from "../storage/keys.ts";
import type { Key } from "../storage/metadata-store.ts";
import { type ApprovalSigningRecord, approvalRecord } from "../storage/policy-records.ts";

const KEY = keys.job(SIGN_APPROVALS);
/** Rows of one look-up, and approvals between two records of how far this has come. */
const PAGE = 256;

/**
 * Signs every approval that counts and that a version before signed approvals kept, once in the life of a store; how many. It can end
 * anywhere and goes on where it was: what is signed is left alone.
 */
export async function signApprovals(services: ApprovalServices, signal?: AbortSignal): Promise<number> {
  let progress = (await approvalSigningProgress(services)) ?? BEGINNING;
  if (progress.status === "done") return 0;
  let unmarked = 0;
  for await (const { key, value } of rowsOf(services, [under(keys.allApprovals(), PAGE, progress.after ?? [])])) {
    if (signal?.aborted === true) return mark(services, progress);
    const isSigned = approvalRecord.parse(value).statement !== undefined;
    const signed = !isSigned && (await signApproval(services, placeOf(key)));
    progress = { v: 1, status: "under-way", after: key.slice(1), signed: progress.signed + Number(signed) };
    unmarked += 1;
    if (unmarked % PAGE === 0) await mark(services, progress);
  }
  return end(services, progress);
}

const BEGINNING: ApprovalSigningRecord = { v: 1, status: "under-way", after: null, signed: 0 };

function placeOf(key: Key): ApprovalAt {
  return {
    repository: repositoryNameSchema.parse(key[1]),
    artifact: digestSchema.parse(key[2]),
    generation: Number(key[3]),
    person: String(key[4]),
  };
}

async function mark({ metadata }: ApprovalServices, progress: ApprovalSigningRecord): Promise<number> {
  await metadata.commit({ expect: [], put: [{ key: KEY, value: progress }], remove: [], audit: [] });
  return progress.signed;
}

async function end(services: ApprovalServices, progress: ApprovalSigningRecord): Promise<number> {
  const { signed } = progress;
  const done: ApprovalSigningRecord = { ...progress, status: "done", after: null };
  const target = { kind: "registry", name: "every repository" } as const;
  const audit = signed === 0 ? [] : [auditEvent(services, SYSTEM, { type: "approvals.sign", target, after: { signed } })];
  await services.metadata.commit({ expect: [], put: [{ key: KEY, value: done }], remove: [], audit });
  return signed;
}
