import { setTimeout as sleep } from "node:timers/promises";
import type { AuditEvent } from "../audit/event.ts";
import { registryRights } from "../identity/authorize.ts";
import { STATES } from "../lifecycle/state.ts";
import { type Digest, algorithmOf, encodedOf } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { keys, under } from "../storage/keys.ts";
import {
  type VerificationRecord,
  type VerificationResult,
  type VerificationRun,
  blobRecord,
  verificationRecord,
} from "../storage/records.ts";
import { askForJob } from "./asked-jobs.ts";
import { auditEvent } from "./audit-event.ts";
import { type Decided, decideAndCommit } from "./commit.ts";
import { rowsOf } from "./ordered-rows.ts";
import type { Caller, Services } from "./ports.ts";
import { SYSTEM } from "./system-actor.ts";
import { countAffected, forgetHealed } from "./verify-damage.ts";
import { type ResultServices, publishResult } from "./verify-result.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId">;

/** How far blobs are counted before a run: to count more takes longer than it is worth. */
const MAX_TOTAL = 1000;
/** How often whoever waits looks, in milliseconds. */
const LOOK = 200;
const PAGE = 256;
/** The job that checks all blobs. */
export const VERIFY_ALL = "verify-all";
const KEY = keys.job(VERIFY_ALL);

/** The check of all blobs that is under way, and the one that ended last. */
export interface VerificationStatus {
  readonly current: VerificationRun | null;
  readonly last: VerificationResult | null;
}

/**
 * Why this caller may not have all blobs checked; undefined where it may. The predecessor let everybody, and programs of this machine still
 * may (RULES 19).
 */
export function refusalOfStarting({ principal }: Caller): string | undefined {
  const rights = registryRights(principal);
  const mayStart = principal.kind === "local-reader" || rights.has("scan") || rights.has("audit");
  return mayStart ? undefined : "checking all blobs needs the permission scan or audit, or the service token";
}

/** Why this caller may not end a check that others may wait for; undefined where it may. */
export function refusalOfEnding({ principal }: Caller): string | undefined {
  const mayEnd = principal.kind === "service-token" || registryRights(principal).has("administer:system");
  return mayEnd ? undefined : "ending a check needs the permission administer:system, or the service token";
}

/** Starts a check of all blobs, or joins the one that is under way, in whichever process that is; the id to wait for. */
export async function startVerification(services: Needs, caller: Caller): Promise<string> {
  const id = await decideAndCommit(services, async (): Promise<Decided<string>> => {
    const found = await load(services);
    const { current } = found.record;
    if (current === null) return begin(services, found, caller);
    if (current.by !== null) return { result: current.id };
    // One that began by itself goes slowly; now somebody waits for it.
    return { change: changeOf(found, { ...found.record, current: { ...current, by: caller.principal.name } }), result: current.id };
  });
  askForJob(services.metadata, VERIFY_ALL);
  return id;
}

/** How the check of all blobs stands. */
export async function verificationStatus(services: Pick<Services, "metadata" | "clock">): Promise<VerificationStatus> {
  const { current, last } = (await load(services)).record;
  return { current, last };
}

/** How far a run is, from 0 to 1: by the bytes that it has read, where it is known how many there are, else by the digests it has passed. */
export function progressOf({ after, bytesChecked, bytesTotal, bytesUnderWay = 0 }: VerificationRun): number {
  return typeof bytesTotal === "number" && bytesTotal > 0 ? Math.min(1, (bytesChecked + bytesUnderWay) / bytesTotal) : partOfDigests(after);
}

/** How far a walk over all digests is that has passed this one: they are spread evenly. Those by sha512, which are few, come last. */
export function partOfDigests(after: Digest | null): number {
  if (after === null) return 0;
  return algorithmOf(after) === "sha256" ? Number.parseInt(encodedOf(after).slice(0, 8), 16) / 2 ** 32 : 1;
}

/** The check to go on with: the one under way, else a new one when nobody has asked for one for the interval (ms; zero: never). */
export async function dueVerification(services: Needs, interval: number): Promise<VerificationRun | undefined> {
  await decideAndCommit(services, async () => {
    const found = await load(services);
    const { current, since } = found.record;
    if (found.version === "absent") return { change: changeOf(found, found.record), result: undefined };
    // A time farther away comes from a clock that was wrong.
    const isDue = interval > 0 && Math.abs(services.clock() - since) >= interval;
    return current === null && isDue ? begin(services, found, undefined) : { result: undefined };
  });
  return (await load(services)).record.current ?? undefined;
}

/**
 * Writes down how far a run has come since `before`. Null when it is over, or somebody else goes on with it; otherwise the run as it is
 * now, which may have been asked for meanwhile.
 */
export async function markVerification(services: Needs, before: VerificationRun, now: VerificationRun): Promise<VerificationRun | null> {
  return decideAndCommit(services, async (): Promise<Decided<VerificationRun | null>> => {
    const found = await load(services);
    const { current } = found.record;
    if (current?.id !== before.id || current.after !== before.after) return { result: null };
    const run = { ...now, by: current.by };
    return { change: changeOf(found, { ...found.record, current: run }), result: run };
  });
}

/** Ends a check for somebody who wants no more of it; the result that it leaves, or null when there is none under way. */
export async function cancelVerification(services: Needs & ResultServices, caller: Caller): Promise<VerificationResult | null> {
  const cancelled = await decideAndCommit(services, async (): Promise<Decided<VerificationResult | null>> => {
    const found = await load(services);
    const { current } = found.record;
    if (current === null) return { result: null };
    const how = {
      status: "error",
      detail: "it was cancelled before all blobs were checked",
      artifactsChecked: 0,
      artifactsFailed: 0,
    } as const;
    return ended(services, found, current, { caller, how });
  });
  await publishResult(services);
  return cancelled;
}

type How = Pick<VerificationResult, "status" | "detail" | "artifactsChecked" | "artifactsFailed">;

/** Ends a run that has come to its end, or failed for a reason (`detail`); null when somebody else has ended it. */
export async function endVerification(services: Needs, run: VerificationRun, detail?: string): Promise<VerificationResult | null> {
  await forgetHealed(services);
  const how =
    detail === undefined ? await judged(services, run) : { status: "error" as const, detail, artifactsChecked: 0, artifactsFailed: 0 };
  return decideAndCommit(services, async () => {
    const found = await load(services);
    const { current } = found.record;
    if (current?.id !== run.id) return { result: null };
    return ended(services, found, { ...run, by: current.by }, { caller: undefined, how });
  });
}

async function judged(services: Needs, { blobsDamaged, blobsUnreadable }: VerificationRun): Promise<How> {
  const artifactsChecked = await countArtifacts(services);
  const artifactsFailed = await countAffected(services);
  const status = blobsDamaged > 0 || artifactsFailed > 0 ? "failed" : blobsUnreadable > 0 ? "error" : "ok";
  const detail = blobsUnreadable > 0 ? "the storage failed to read some blobs: nothing is said of them" : null;
  return { status, detail, artifactsChecked, artifactsFailed };
}

/** Those whose content is meant to be there. */
async function countArtifacts(services: Needs): Promise<number> {
  const states = STATES.filter((state) => state !== "deleted");
  let count = 0;
  for await (const _ of rowsOf(
    services,
    states.map((state) => under(keys.artifactsIn(state), PAGE)),
  ))
    count += 1;
  return count;
}

/** What ends a wait. */
interface Patience {
  readonly signal?: AbortSignal | undefined;
  /** Is this process about to end? */
  readonly isStopping?: () => boolean;
}

/**
 * Waits until a check has ended and its result is published. Its result, or a later one's; rejects with the reason of the signal when that
 * comes first, which does not end the check.
 */
export async function waitForVerification(
  services: Pick<Services, "metadata" | "clock">,
  id: string,
  { signal, isStopping = () => false }: Patience = {},
): Promise<VerificationResult> {
  for (;;) {
    signal?.throwIfAborted();
    if (isStopping()) throw new RegistryError("UNAVAILABLE", "the registry stops; the check goes on when it is there again");
    const { current, last } = (await load(services)).record;
    if (current?.id !== id) {
      if (last === null) throw new RegistryError("NOT_FOUND", "there is no such check");
      if (last.isPublished) return last;
    }
    await sleep(LOOK, undefined, { signal });
  }
}

interface Found {
  readonly record: VerificationRecord;
  readonly version: number | "absent";
}

async function load({ metadata, clock }: Pick<Services, "metadata" | "clock">): Promise<Found> {
  const entry = await metadata.get(KEY);
  if (entry === undefined) return { record: { v: 1, since: clock(), current: null, last: null }, version: "absent" };
  return { record: verificationRecord.parse(entry.value), version: entry.version };
}

function changeOf({ version }: Pick<Found, "version">, value: VerificationRecord, audit: readonly AuditEvent[] = []) {
  return { expect: [{ key: KEY, version }], put: [{ key: KEY, value }], remove: [], audit };
}

async function begin(services: Needs, found: Found, caller: Caller | undefined): Promise<Decided<string>> {
  const blobs = await services.metadata.list(under(keys.blobs(), MAX_TOTAL));
  const isCounted = blobs.length < MAX_TOTAL;
  const now = services.clock();
  const current: VerificationRun = {
    id: services.newId(),
    by: caller?.principal.name ?? null,
    startedAt: now,
    blobsChecked: 0,
    bytesChecked: 0,
    blobsDamaged: 0,
    blobsUnreadable: 0,
    unreadable: [],
    after: null,
    blobsTotal: isCounted ? blobs.length : null,
    bytesTotal: isCounted ? blobs.reduce((sum, { value }) => sum + blobRecord.parse(value).size, 0) : null,
  };
  const audit = [happened(services, caller, { type: "verification.start", after: { id: current.id } })];
  return { change: changeOf(found, { ...found.record, since: now, current }, audit), result: current.id };
}

function ended(
  services: Needs,
  found: Found,
  run: VerificationRun,
  { caller, how }: { readonly caller: Caller | undefined; readonly how: How },
): Decided<VerificationResult> {
  const { after: _, blobsTotal: __, bytesTotal: ___, bytesUnderWay: ____, ...progress } = run;
  const last: VerificationResult = { ...progress, ...how, endedAt: services.clock(), isPublished: false };
  const type = caller === undefined ? "verification.end" : "verification.cancel";
  const { id, blobsChecked, blobsDamaged, blobsUnreadable } = last;
  const counts = { blobs_checked: blobsChecked, blobs_damaged: blobsDamaged, blobs_unreadable: blobsUnreadable };
  const after = { id, status: how.status, ...counts };
  return { change: changeOf(found, { ...found.record, current: null, last }, [happened(services, caller, { type, after })]), result: last };
}

function happened(services: Needs, caller: Caller | undefined, said: Required<Pick<AuditEvent, "type" | "after">>): AuditEvent {
  return auditEvent(services, caller?.actor ?? SYSTEM, { ...said, target: { kind: "registry", name: "every blob" } });
}
