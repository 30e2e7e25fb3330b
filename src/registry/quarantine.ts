import type { ManifestRecord } from "../storage/records.ts";
import { type FoundArtifact, demand } from "./find-artifact.ts";
import { plainTransition } from "./plain-transition.ts";
import type { Caller } from "./ports.ts";
import type { TransitionServices } from "./transition.ts";

/** Holds an artifact back for scanning (DESIGN §2). */
export async function quarantine(
  services: TransitionServices,
  caller: Caller,
  artifact: FoundArtifact,
  reason: string | null,
): Promise<ManifestRecord> {
  demand(artifact.rights, "quarantine", "quarantining");
  return plainTransition(services, caller, artifact, { event: "quarantine", reason });
}
