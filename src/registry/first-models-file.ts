import type { Digest } from "../oci/digest.ts";
import { type FirstModelsFile, keys, under } from "../storage/keys.ts";
import type { Put } from "../storage/metadata-store.ts";
import { type FirstModelsRecord, firstModelsRecord } from "../storage/records.ts";
import { type Said, auditEvent } from "./audit-event.ts";
import type { Services } from "./ports.ts";
import type { DecidingFile } from "./registration-draft.ts";
import { SYSTEM } from "./system-actor.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId" | "log">;

/** Why a start cannot go on with the first models, for the operator. */
export class FirstModelsError extends Error {
  override readonly name = "FirstModelsError";
}

/** Does the store hold no artifact, and no history of any? */
export async function isEmptyStore({ metadata }: Pick<Needs, "metadata">): Promise<boolean> {
  const [artifact] = await metadata.list(under(keys.manifests(), 1));
  return artifact === undefined && (await metadata.get(keys.modelEventHead())) === undefined;
}

/**
 * May models be registered from a file of this kind? `open`: from any, the store is empty. `unfinished`: from the one that a start which was
 * cut off did not finish. `closed`: from none; the digest is that of the one that was.
 */
export type Standing =
  | { readonly standing: "open" }
  | { readonly standing: "unfinished"; readonly digest: Digest }
  | { readonly standing: "closed"; readonly digest: Digest | undefined };

/** How the store stands to a kind of file. */
export async function standingOf(needs: Pick<Needs, "metadata">, kind: FirstModelsFile): Promise<Standing> {
  const entry = await needs.metadata.get(keys.firstModels(kind));
  const record = entry && firstModelsRecord.parse(entry.value);
  if (record?.status === "done") return { standing: "closed", digest: record.digest };
  if (await isEmptyStore(needs)) return { standing: "open" };
  return record === undefined ? { standing: "closed", digest: undefined } : { standing: "unfinished", digest: record.digest };
}

/** Records how far a file has come. With `undefined` it is as if it had not been read, so that a later start reads it again. */
export async function recordFile(
  services: Needs,
  file: DecidingFile,
  status: FirstModelsRecord["status"] | undefined,
  said: Pick<Said, "reason" | "outcome" | "after">,
): Promise<void> {
  const { kind, digest } = file;
  const key = keys.firstModels(kind);
  const before = await services.metadata.get(key);
  const put: Put[] =
    status === undefined ? [] : [{ key, value: { v: 1, digest, status, at: services.clock() } satisfies FirstModelsRecord }];
  const after = { ...said.after, status: status ?? "nothing registered" };
  const outcome = await services.metadata.commit({
    expect: [{ key, version: before?.version ?? "absent" }],
    put,
    remove: status === undefined ? [key] : [],
    audit: [eventOf(services, file, { ...said, after })],
  });
  if (outcome !== "committed") throw new Error("another process registers the first models at the same time");
}

/** Says loudly that a file, or one of its entries, is refused: in the log and in the audit. */
export async function refuse(
  services: Needs,
  file: Pick<DecidingFile, "kind"> & Partial<DecidingFile>,
  { reason, ...entry }: { readonly reason: string; readonly entry?: number; readonly line?: number; readonly name?: string },
): Promise<void> {
  services.log.error({ file: file.kind, reason, ...entry }, entry.entry === undefined ? "THE FILE IS REFUSED" : "AN ENTRY IS REFUSED");
  const said = { outcome: "deny", reason: reason.slice(0, 1024).toWellFormed(), after: { ...entry } } as const;
  await services.metadata.commit({ expect: [], put: [], remove: [], audit: [eventOf(services, file, said)] });
}

function eventOf(
  services: Needs,
  { kind, digest }: Pick<DecidingFile, "kind"> & Partial<DecidingFile>,
  said: Pick<Said, "reason" | "outcome" | "after">,
): ReturnType<typeof auditEvent> {
  const target = { kind: "registry", name: kind, ...(digest !== undefined && { digest }) } as const;
  return auditEvent(services, SYSTEM, { type: "registry.first-models", target, ...said });
}
