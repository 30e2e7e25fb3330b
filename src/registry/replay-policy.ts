import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import type { WrittenPolicy } from "../policy/written.ts";
import { isGlob } from "../trust/glob.ts";
import { auditEvent } from "./audit-event.ts";
import { policyToTry } from "./policies-in-force.ts";
import { showPolicy } from "./policies.ts";
import type { Caller, Services } from "./ports.ts";
import { type ChangedArtifact, replayArtifact } from "./replay-artifact.ts";
import { parseReplayCursor, replayCursor } from "./replay-cursor.ts";
import { type ReplayPlace, replayPlaces } from "./replay-places.ts";

/** What a replay needs. */
export type ReplayServices = Pick<Services, "metadata" | "blobs" | "clock" | "newId" | "settings" | "secretFor">;

/** How long (ms) a page takes at most, but for its last decision. */
const MAX_TIME = 2_000;

/** Which policy is replayed, and on what. */
export interface ReplayRequest {
  readonly name: string;
  /** A document of this name; undefined: the policy in force, or a version of it. */
  readonly document: string | undefined;
  readonly version: number | undefined;
  /** A pattern of repositories; undefined: all that the policy decides about. */
  readonly repositories: string | undefined;
  readonly cursor: string | undefined;
  /** How many artifacts are decided about at most. */
  readonly limit: number;
  /** Ends the page early. */
  readonly signal: AbortSignal;
}

/** A page of a replay. */
export interface ReplayPage {
  readonly policy: { readonly name: string; readonly version: number; readonly digest: Digest };
  /** How many artifacts were decided about. */
  readonly examined: { readonly trusted: number; readonly others: number };
  readonly artifacts: readonly ChangedArtifact[];
  readonly next: string | null;
}

/**
 * Which trusted artifacts would be refused if a policy were in force beside the others, and which that are not trusted would pass: a page of
 * them. Only artifacts of repositories that the policy matches are read. Changes nothing; the first page is audited.
 */
export async function replayPolicy(services: ReplayServices, caller: Caller, request: ReplayRequest): Promise<ReplayPage> {
  const policy = await policyToReplay(services, request);
  const { repositories = "**", cursor } = request;
  if (!isGlob(repositories)) throw new RegistryError("INVALID", "repository must be the name of one, or a pattern with * and **");
  const replayed = { by: caller.principal.name, policy: policy.digest, repositories };
  const after = cursor === undefined ? undefined : parseReplayCursor(services, replayed, cursor);
  if (after === undefined) await auditReplay(services, caller, policy, repositories);
  const { last, ...page } = await walk(services, policy, { ...request, repositories, after });
  const { name, version, digest } = policy;
  return { policy: { name, version, digest }, ...page, next: last === undefined ? null : replayCursor(services, replayed, last) };
}

async function policyToReplay(services: ReplayServices, { name, document, version }: ReplayRequest): Promise<WrittenPolicy> {
  if (document === undefined) {
    const stored = await showPolicy(services, name, version);
    return { ...(await policyToTry(services, stored.text)), version: stored.version };
  }
  const policy = await policyToTry(services, document);
  if (policy.name !== name) throw new RegistryError("INVALID", "the policy is invalid: metadata.name: must be the name in the path");
  return policy;
}

async function auditReplay(
  services: ReplayServices,
  { actor }: Caller,
  { name, version, digest }: WrittenPolicy,
  repositories: string,
): Promise<void> {
  const target = { kind: "policy", name, digest } as const;
  const event = auditEvent(services, actor, { type: "policy.replay", target, after: { version, repositories } });
  await services.metadata.commit({ expect: [], put: [], remove: [], audit: [event] });
}

interface Walk extends Pick<ReplayRequest, "limit" | "signal"> {
  readonly repositories: string;
  readonly after: ReplayPlace | undefined;
}

interface Walked extends Pick<ReplayPage, "examined" | "artifacts"> {
  /** Where the page ended, unless that is the end. */
  readonly last: ReplayPlace | undefined;
}

async function walk(services: ReplayServices, policy: WrittenPolicy, { repositories, after, limit, signal }: Walk): Promise<Walked> {
  const scope = { patterns: policy.document.spec.match.repositories, within: [repositories] };
  const until = services.clock() + MAX_TIME;
  const artifacts: ChangedArtifact[] = [];
  const examined = { trusted: 0, others: 0 };
  const isFull = ({ digest }: ReplayPlace): boolean => digest !== null && examined.trusted + examined.others >= limit;
  let last: ReplayPlace | undefined;
  for await (const place of replayPlaces(services, scope, after)) {
    // Each page comes further than the one before, however little time there is.
    if (last !== undefined && (isFull(place) || signal.aborted || services.clock() >= until)) return { examined, artifacts, last };
    last = place;
    const replayed = place.digest === null ? undefined : await replayArtifact(services, policy, place.repository, place.digest);
    if (replayed === undefined) continue;
    examined[replayed.isTrusted ? "trusted" : "others"] += 1;
    if (replayed.changed !== undefined) artifacts.push(replayed.changed);
  }
  return { examined, artifacts, last: undefined };
}
