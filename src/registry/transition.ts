import type { LifecycleEvent } from "../lifecycle/state.ts";
import { type Transition, transition } from "../lifecycle/transition.ts";
import { RegistryError } from "../oci/errors.ts";
import type { Manifest } from "../oci/manifest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { Expectation } from "../storage/metadata-store.ts";
import type { ManifestRecord } from "../storage/records.ts";
import type { BuiltTransition } from "./change-state.ts";
import { loadManifest } from "./closure.ts";
import { ChangedMeanwhileError, type Decided, decideAndCommit } from "./commit.ts";
import type { FoundArtifact } from "./find-artifact.ts";
import type { Services } from "./ports.ts";
import { isServedByAnother } from "./reach.ts";
import { commitFirst, giveWay } from "./right-of-way.ts";
import { syncIfPending, syncRuntimeFolders } from "./runtime-folders.ts";
import { inTurn } from "./turns.ts";

/** What transitions need. */
export type TransitionServices = Pick<Services, "metadata" | "blobs" | "clock" | "newId" | "settings" | "tree" | "log" | "signing">;

/** What the table says of an event on an artifact; a refusal is thrown as the error that fits its reason. */
export async function decideTransition(
  services: Pick<Services, "metadata">,
  { repository, record, rights }: Pick<FoundArtifact, "repository" | "record" | "rights">,
  event: LifecycleEvent,
): Promise<Exclude<Transition, { kind: "refuse" }>> {
  const decided = transition(record.state, event, {
    revocation: record.revocation,
    mayReinstate: rights.has("reinstate"),
    servedByRoot: await isServedByAnother(services, repository, record.digest),
  });
  if (decided.kind === "refuse") throw new RegistryError(decided.because === "permission" ? "DENIED" : "CONFLICT", decided.reason);
  return decided;
}

/** The manifest of an artifact that is not deleted; throws `ChangedMeanwhileError` when it is by now. */
export async function contentOf(
  services: Pick<Services, "metadata">,
  repository: RepositoryName,
  record: ManifestRecord,
): Promise<Manifest> {
  const manifest = await loadManifest(services, repository, record);
  if (manifest === undefined) throw new ChangedMeanwhileError();
  return manifest;
}

/** Nothing to change. */
export function unchanged(record: ManifestRecord): BuiltTransition {
  return { change: undefined, record, folders: new Set(), pending: "" };
}

/**
 * Decides and commits a transition, then brings `trusted/` in line before anybody is answered (RULES 23). Those of one kind in one
 * repository take turns; a revocation thus never waits for the promotion of something large, and all others give it way.
 */
export async function commitTransition(
  services: TransitionServices,
  { repository, event }: { readonly repository: RepositoryName; readonly event: LifecycleEvent },
  decide: () => Promise<BuiltTransition>,
): Promise<ManifestRecord> {
  const decision = async (): Promise<Decided<BuiltTransition>> => {
    const way = event === "revoke" ? [] : [await giveWay(services, repository)];
    const decided = await decide();
    if (decided.change === undefined) return { result: decided };
    return { change: { ...decided.change, expect: [...decided.change.expect, ...way] }, result: decided };
  };
  const built = await inTurn(services.metadata, `${event} ${repository}`, () =>
    event === "revoke" ? commitFirst(services, repository, decision) : decideAndCommit(services, decision),
  );
  if (built.change === undefined) await syncIfPending(services, { repository, manifest: built.record.digest });
  const folders = [...built.folders].map((manifest) => ({ repository, manifest }));
  await syncRuntimeFolders(services, folders, built.pending);
  return built.record;
}

/**
 * Holds a change to there having been no other transition in the repository since it was decided: for those whose decision rests on which
 * roots reach what, which no single record tells.
 */
export async function noOtherTransition({ metadata }: Pick<Services, "metadata">, repository: RepositoryName): Promise<Expectation> {
  const key = keys.repository(repository);
  return { key, version: (await metadata.get(key))?.version ?? "absent" };
}
