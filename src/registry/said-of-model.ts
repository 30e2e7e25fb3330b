import type { ScanEvidence } from "../policy/scan-evidence.ts";
import type { ModelDetails } from "../storage/records.ts";

/** What is said of a registered artifact with its promotion, besides which file it is. */
export interface SaidOfModel {
  readonly scan: ScanEvidence;
  readonly fingerprint: ModelDetails["fingerprint"];
  readonly tensorManifest: ModelDetails["tensorManifest"];
}

/** What is kept of an artifact of which that is said, whatever was before. */
export function withSaid(details: ModelDetails, { scan, fingerprint, tensorManifest }: SaidOfModel): ModelDetails {
  return {
    ...details,
    scanResults: scan.scan_results,
    scannerVersions: scan.scanner_versions,
    policyVersion: scan.policy_version,
    sourceRevision: scan.source_revision,
    fingerprint,
    tensorManifest,
  };
}
