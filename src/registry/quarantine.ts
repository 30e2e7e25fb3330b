import { auditEvent } from "./audit-event.ts";
import { buildTransition } from "./change-state.ts";
import { type FoundArtifact, changed, demand, reload } from "./find-artifact.ts";
import type { Caller } from "./ports.ts";
import { type TransitionServices, commitTransition, contentOf, decideTransition, noOtherTransition, unchanged } from "./transition.ts";
import type { ManifestRecord } from "../storage/records.ts";

/** Holds an artifact back for scanning (DESIGN §2). */
export async function quarantine(
  services: TransitionServices,
  caller: Caller,
  artifact: FoundArtifact,
  reason: string | null,
): Promise<ManifestRecord> {
  demand(artifact.rights, "quarantine", "quarantining");
  const { repository } = artifact;
  return commitTransition(services, { repository, event: "quarantine" }, async () => {
    const alone = await noOtherTransition(services, repository);
    const now = await reload(services, artifact);
    const { record } = now;
    const decided = await decideTransition(services, now, "quarantine");
    if (decided.kind === "same") return unchanged(record);
    const at = services.clock();
    const by = caller.principal.name;
    return buildTransition(services, {
      repository,
      before: now,
      after: changed(record, by, { state: decided.to, reason, changedAt: at }),
      manifest: await contentOf(services, repository, record),
      said: { everywhere: false, actor: by, permanent: false, inputs: [], at, reason, policy: null },
      also: { expect: [alone], put: [], remove: [] },
      audit: [
        auditEvent(services, caller.actor, {
          type: "artifact.quarantine",
          target: { kind: "artifact", name: repository, digest: record.digest },
          ...(reason === null ? {} : { reason }),
          before: { state: record.state },
          after: { state: decided.to },
        }),
      ],
    });
  });
}
