import { z } from "zod";

/** The predecessor's bounds (secai-behaviour.md 1.4), in bytes of UTF-8. */
const MAX_SCANNERS = 64;
const MAX_NAME = 256;
const MAX_VALUE = 1024;
const MAX_VERSION = 256;

/** Keeps the parsed object as it is: zod's records would lose a scanner called `__proto__`. */
const byScanner = z.custom<Readonly<Record<string, string>>>(isByScanner, {
  error: `must be text by scanner: at most ${MAX_SCANNERS} entries, names of 1 to ${MAX_NAME} and values of at most ${MAX_VALUE} bytes, on one line each`,
});

const versionText = z
  .string()
  .refine((text) => text.isWellFormed() && Buffer.byteLength(text) <= MAX_VERSION, { error: `must have at most ${MAX_VERSION} bytes` });

/** What scanners said of an artifact, as whoever promotes it states it: the members of evaluate, promote and the predecessor's promote. */
export const scanEvidence = z.strictObject({
  /** What each scanner found, by its name. */
  scan_results: byScanner.default({}),
  /** Which version of it that was, by its name. */
  scanner_versions: byScanner.default({}),
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

function isByScanner(value: unknown): value is Readonly<Record<string, string>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const entries = Object.entries(value);
  return (
    entries.length <= MAX_SCANNERS && entries.every(([name, text]) => name !== "" && isLine(name, MAX_NAME) && isLine(text, MAX_VALUE))
  );
}

function isLine(text: unknown, maxBytes: number): text is string {
  return typeof text === "string" && text.isWellFormed() && !/[\0\r\n]/.test(text) && Buffer.byteLength(text) <= maxBytes;
}
