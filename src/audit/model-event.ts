import { createHash } from "node:crypto";
import { z } from "zod";
import { stateSchema } from "../lifecycle/state.ts";
import { goJson, sortedMap } from "../oci/go-json.ts";
import { MODEL_FORMATS, isModelName } from "../oci/model-name.ts";

/** Text of at most so many bytes of UTF-8, which are what the predecessor counts. */
const text = (max: number): z.ZodType<string, string> =>
  z
    .string()
    .refine((value) => value.isWellFormed() && Buffer.byteLength(value) <= max, { error: `must have at most ${max} bytes` })
    .meta({ maxLength: max });

const MAX_ENTRIES = 64;
const MAX_KEY = 256;
const MAX_VALUE = 1024;

/** Text on one line, as a JSON Schema says it. */
const LINE_PATTERN = "^[^\\u0000\\r\\n]*$";

/** Text by scanner, as it was sent: zod's records would lose a scanner called `__proto__`. */
export const scannerMapSchema = z
  .custom<Readonly<Record<string, string>>>(isScannerMap, {
    error: `must be text by scanner: at most ${MAX_ENTRIES} entries, names of 1 to ${MAX_KEY} and values of at most ${MAX_VALUE} bytes, on one line each`,
  })
  .register(z.globalRegistry, {
    type: "object",
    maxProperties: MAX_ENTRIES,
    propertyNames: { minLength: 1, maxLength: MAX_KEY, pattern: LINE_PATTERN },
    additionalProperties: { type: "string", maxLength: MAX_VALUE, pattern: LINE_PATTERN },
  });

function isScannerMap(value: unknown): value is Readonly<Record<string, string>> {
  if (!isObject(value)) return false;
  const entries = Object.entries(value);
  return entries.length <= MAX_ENTRIES && entries.every(([name, each]) => name !== "" && isLine(name, MAX_KEY) && isLine(each, MAX_VALUE));
}

function isLine(value: unknown, maxBytes: number): value is string {
  return typeof value === "string" && value.isWellFormed() && !/[\0\r\n]/.test(value) && Buffer.byteLength(value) <= maxBytes;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const MAX_DEPTH = 32;
const MAX_NODES = 10_000;
const MAX_MEMBERS = 4096;
const MAX_TEXT = 4096;
const FINGERPRINT_RULE = `must be an object of at most ${MAX_NODES} values, ${MAX_DEPTH} deep, with at most ${MAX_MEMBERS} members each and text of at most ${MAX_TEXT} bytes on one line`;

/** What a file's own scanner found of it, as free JSON (secai-behaviour 1.4). */
export const fingerprintSchema = z
  .custom<Readonly<Record<string, unknown>>>((value) => isObject(value) && isFingerprint(value), { error: FINGERPRINT_RULE })
  .register(z.globalRegistry, {
    type: "object",
    maxProperties: MAX_MEMBERS,
    propertyNames: { minLength: 1, maxLength: MAX_KEY },
    description: FINGERPRINT_RULE,
  });

function isFingerprint(value: object): boolean {
  let nodes = 0;
  const fits = (each: unknown, depth: number): boolean => {
    nodes += 1;
    if (nodes > MAX_NODES) return false;
    if (typeof each === "string") return isLine(each, MAX_TEXT);
    if (typeof each === "number") return Number.isFinite(each);
    if (typeof each !== "object" || each === null) return each !== undefined;
    const members = Object.entries(each);
    if (depth >= MAX_DEPTH || members.length > MAX_MEMBERS) return false;
    return members.every(([name, member]) => (Array.isArray(each) || (name !== "" && isLine(name, MAX_KEY))) && fits(member, depth + 1));
  };
  return fits(value, 0);
}

/** A model's name (RULES 27). */
export const modelNameSchema = z
  .string()
  .refine(isModelName, { error: "must be 1 to 256 bytes on one line, without white space at its ends" })
  .meta({ minLength: 1, maxLength: 256 });
export const sha256HexSchema = z.string().regex(/^[0-9a-f]{64}$/, { error: "must be 64 lower-case hexadecimal digits" });

/** RFC 3339 in UTC, whole seconds. */
const seconds = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);

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
  scan_results: scannerMapSchema.exactOptional(),
  scanner_versions: scannerMapSchema.exactOptional(),
  policy_version: text(256).exactOptional(),
  source_revision: text(256).exactOptional(),
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
  return createHash("sha256")
    .update(modelEventJson({ ...event, hash: "" }))
    .digest("hex");
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
