import { createHash } from "node:crypto";
import { z } from "zod";
import { stateSchema } from "../lifecycle/state.ts";
import { goJson, sortedMap } from "../oci/go-json.ts";
import { MODEL_FORMATS, isModelName } from "../oci/model-name.ts";

/** How many bytes a text of the predecessor's records may have. */
const text = (max: number, min = 0): z.ZodString =>
  z.string().refine((value) => Buffer.byteLength(value) <= max && Buffer.byteLength(value) >= min, { error: `must have ${min} to ${max} bytes` });
const line = (max: number, min = 0): z.ZodString => text(max, min).refine((value) => !/[\0\r\n]/.test(value), { error: "must be one line" });

const MAX_ENTRIES = 64;
const evidenceMap = z
  .record(line(256, 1), line(1024))
  .refine((map) => Object.keys(map).length <= MAX_ENTRIES, { error: `must have at most ${MAX_ENTRIES} entries` });

/** A model's name (RULES 27). */
export const modelNameSchema = z.string().refine(isModelName, { error: "must be 1 to 256 bytes on one line, without white space at its ends" });
export const sha256HexSchema = z.string().regex(/^[0-9a-f]{64}$/, { error: "must be 64 lower-case hexadecimal digits" });

/** RFC 3339 in UTC, whole seconds. */
const seconds = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);

/** What a file's own scanner found of it, as free JSON. */
const fingerprintSchema = z.record(text(256, 1), z.json());

/**
 * The predecessor's record of an artifact, in the order in which it writes the members. What is pushed by OCI is shown in the same words;
 * there `format` and `sha256` are those of its only file, else `oci` and the digest of its manifest.
 */
export const modelRecordSchema = z.strictObject({
  name: z.string(),
  format: z.enum([...MODEL_FORMATS, "oci"]),
  filename: z.string(),
  sha256: sha256HexSchema,
  size_bytes: z.number().int().nonnegative(),
  source: text(4096).exactOptional(),
  promoted_at: z.union([seconds, z.literal("")]),
  state: stateSchema,
  scan_results: evidenceMap.exactOptional(),
  scanner_versions: evidenceMap.exactOptional(),
  policy_version: line(256).exactOptional(),
  source_revision: line(256).exactOptional(),
  gguf_guard_fingerprint: fingerprintSchema.exactOptional(),
  gguf_guard_manifest: z.string().exactOptional(),
});
export type ModelView = z.infer<typeof modelRecordSchema>;

export const MODEL_ACTIONS = ["bootstrap", "acquire", "quarantine", "promote", "revoke", "delete"] as const;

/** A link of the predecessor's audit chain (secai-behaviour 1.9), in the order in which it writes the members. */
export const modelEventSchema = z.strictObject({
  sequence: z.number().int().positive(),
  /** RFC 3339 in UTC, up to nine fractional digits without zeros at their end. */
  timestamp: z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{0,8}[1-9])?Z$/),
  action: z.enum(MODEL_ACTIONS),
  name: modelNameSchema,
  from_state: stateSchema.exactOptional(),
  to_state: stateSchema,
  sha256: sha256HexSchema,
  artifact: modelRecordSchema.extend({ object_path: z.string().exactOptional() }),
  prev_hash: z.string(),
  hash: z.string(),
});
export type ModelEvent = z.infer<typeof modelEventSchema>;

/** What the first link names as the one before it. */
export const GENESIS = "genesis";

/** The hash of a link: SHA-256 over its compact JSON with an empty `hash`. */
export function modelEventHash(event: ModelEvent): string {
  return createHash("sha256").update(modelEventJson({ ...event, hash: "" })).digest("hex");
}

/** A link as the predecessor writes it, byte by byte. */
export function modelEventJson(event: ModelEvent): string {
  const { sequence, timestamp, action, name, from_state, to_state, sha256, artifact, prev_hash, hash } = event;
  return goJson({ sequence, timestamp, action, name, from_state, to_state, sha256, artifact: ordered(artifact), prev_hash, hash });
}

/** A record as the predecessor writes it, byte by byte. */
export function modelRecordJson(record: ModelView): string {
  return goJson(ordered(record));
}

/** What the predecessor leaves out when it is empty. */
const OMITTED = ["object_path", "source", "scan_results", "scanner_versions", "policy_version", "source_revision"] as const;

function ordered(record: ModelEvent["artifact"]): Record<string, unknown> {
  const { name, format, filename, object_path, sha256, size_bytes, source, promoted_at, state } = record;
  const { scan_results, scanner_versions, policy_version, source_revision, gguf_guard_fingerprint, gguf_guard_manifest } = record;
  const members: Record<string, unknown> = {
    name,
    format,
    filename,
    object_path,
    sha256,
    size_bytes,
    source,
    promoted_at,
    state,
    scan_results: sortedMap(scan_results),
    scanner_versions: sortedMap(scanner_versions),
    policy_version,
    source_revision,
    gguf_guard_fingerprint: sortedMap(gguf_guard_fingerprint),
    gguf_guard_manifest,
  };
  for (const member of [...OMITTED, "gguf_guard_fingerprint", "gguf_guard_manifest"]) {
    if (isEmpty(members[member])) members[member] = undefined;
  }
  return members;
}

function isEmpty(value: unknown): boolean {
  return value === "" || (value instanceof Map && value.size === 0);
}
