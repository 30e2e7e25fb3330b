import type { Digest } from "../oci/digest.ts";
import type { ManifestRecord } from "../storage/records.ts";
import { auditEvent } from "./audit-event.ts";
import { type BuiltTransition, buildTransition } from "./change-state.ts";
import { type FoundArtifact, changed, reload } from "./find-artifact.ts";
import type { Caller } from "./ports.ts";
import { type TransitionServices, commitTransition, contentOf, decideTransition, noOtherTransition, unchanged } from "./transition.ts";

/** A transition that changes the state and nothing else of the record. */
export interface PlainTransition {
  readonly event: "quarantine" | "delete";
  readonly reason: string | null;
  /** What it rests on, by digest. */
  readonly inputs?: readonly Digest[];
  /** Throws when the artifact, as it is now, forbids it to this caller. */
  readonly demand?: (now: FoundArtifact) => Promise<void>;
}

/** Decides and commits a transition that is only a new state with a reason; whoever calls has asked for the right. */
export async function plainTransition(
  services: TransitionServices,
  caller: Caller,
  artifact: FoundArtifact,
  transition: PlainTransition,
): Promise<ManifestRecord> {
  const { repository } = artifact;
  return commitTransition(services, { repository, event: transition.event }, async () =>
    decidePlainTransition(services, caller, await reload(services, artifact), transition),
  );
}

/** The change that gives an artifact, as it is now, a new state with a reason. */
export async function decidePlainTransition(
  services: TransitionServices,
  caller: Caller,
  now: FoundArtifact,
  { event, reason, demand, inputs = [] }: PlainTransition,
): Promise<BuiltTransition> {
  const { repository, record } = now;
  const alone = await noOtherTransition(services, repository);
  const decided = await decideTransition(services, now, event);
  if (decided.kind === "same") return unchanged(record);
  await demand?.(now);
  const at = services.clock();
  const by = caller.principal.name;
  return buildTransition(services, {
    repository,
    before: now,
    after: changed(record, by, { state: decided.to, reason, changedAt: at }),
    manifest: await contentOf(services, repository, record),
    said: { everywhere: false, actor: by, permanent: false, inputs, at, reason, policy: null },
    also: { expect: [alone], put: [], remove: [] },
    audit: [
      auditEvent(services, caller.actor, {
        type: `artifact.${event}`,
        target: { kind: "artifact", name: repository, digest: record.digest },
        ...(reason === null ? {} : { reason }),
        before: { state: record.state },
        after: { state: decided.to },
      }),
    ],
  });
}
