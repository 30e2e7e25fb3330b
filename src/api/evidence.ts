import { z } from "zod";
import { scannerMapSchema } from "../audit/model-event.ts";

/** The predecessor's bound (secai-behaviour.md 1.4), in bytes of UTF-8. */
const MAX_VERSION = 256;

const versionText = z
  .string()
  .refine((text) => text.isWellFormed() && Buffer.byteLength(text) <= MAX_VERSION, { error: `must have at most ${MAX_VERSION} bytes` })
  .meta({ maxLength: MAX_VERSION });

/** What scanners said of an artifact, as whoever promotes it states it: the members of evaluate, promote and the predecessor's promote. */
export const scanEvidence = z.strictObject({
  /** What each scanner found, by its name. */
  scan_results: scannerMapSchema.default({}),
  /** Which version of it that was, by its name. */
  scanner_versions: scannerMapSchema.default({}),
  /** Of the policy under which was scanned; empty when it is not known. */
  policy_version: versionText.default(""),
  /** Of what the artifact was made from; empty when it is not known. */
  source_revision: versionText.default(""),
});
type ScanEvidence = z.infer<typeof scanEvidence>;

/** The evidence members of a body that has others besides. */
export function scanOf({ scan_results, scanner_versions, policy_version, source_revision }: ScanEvidence): ScanEvidence {
  return { scan_results, scanner_versions, policy_version, source_revision };
}
