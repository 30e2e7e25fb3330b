import { z } from "zod";
import {
  type ModelView,
  fingerprintSchema,
  modelEventJson,
  modelNameSchema,
  modelRecordJson,
  modelRecordSchema,
  sha256HexSchema,
} from "../audit/model-event.ts";
import { goJson } from "../oci/go-json.ts";
import { digestSchema } from "../oci/digest.ts";
import { repositoryNameSchema } from "../oci/reference.ts";
import { scanEvidence } from "./evidence.ts";

/** The predecessor's API (secai-behaviour 1.4 to 1.6): bodies and answers. Lengths are bytes of UTF-8. */
const filename = z.string().min(1).meta({ maxLength: 4096 });
const source = z
  .string()
  .refine((text) => text.isWellFormed() && Buffer.byteLength(text) <= 4096, { error: "must have at most 4096 bytes" })
  .meta({ maxLength: 4096 });
const size = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
/** As Go has it; beyond what a number holds exactly it is the size of no file. */
const declaredSize = z
  .custom<number>((value) => typeof value === "number" && Number.isInteger(value) && value >= 0)
  .register(z.globalRegistry, { type: "integer", format: "int64", minimum: 0 })
  .default(0);

/** Body of acquire: a file that lies in the data directory. Without `sha256` it is computed; a size of 0 is undeclared. */
export const acquireRequest = z.strictObject({
  name: modelNameSchema,
  filename,
  sha256: sha256HexSchema.optional(),
  size_bytes: declaredSize,
  source: source.default(""),
});

/** Body of the predecessor's promote: the file as it was acquired, and what scanners said of it. */
export const promoteModelRequest = z.strictObject({
  name: modelNameSchema,
  filename,
  sha256: sha256HexSchema,
  size_bytes: declaredSize,
  source: source.default(""),
  ...scanEvidence.shape,
  gguf_guard_fingerprint: fingerprintSchema.default({}),
  /** A tensor manifest in the data directory. */
  gguf_guard_manifest: z.string().meta({ maxLength: 4096 }).default(""),
});

/** An artifact as the predecessor shows it, with the manifest that it is. */
export const modelAnswer = modelRecordSchema.extend({ repository: repositoryNameSchema, digest: digestSchema });

/** Answer of `GET /v1/models`. */
export const modelList = z.array(modelAnswer);

/** The record byte by byte as the predecessor writes it, and then which manifest it is. */
export function modelAnswerJson(
  record: ModelView,
  { repository, digest }: Pick<z.infer<typeof modelAnswer>, "repository" | "digest">,
): string {
  return `${modelRecordJson(record).slice(0, -1)},${goJson({ repository, digest }).slice(1)}`;
}

/** A link of the predecessor's audit chain, as `GET /v1/audit` shows it to the service token. */
export const modelEventAnswerJson = modelEventJson;

/** Where the bytes of a trusted artifact lie on this machine: a file, or a folder where there are several. */
export const modelPathAnswer = z.strictObject({
  path: z.string(),
  sha256: sha256HexSchema,
  size_bytes: size,
  storage_contract: z.literal("content-addressed-v1"),
});

/** What quarantine, revoke and delete answer. */
export const modelStatusAnswer = z.strictObject({
  name: z.string(),
  status: z.enum(["quarantined", "already_quarantined", "revoked", "already_revoked", "deleted", "already_deleted"]),
});

/** Answer of verify-manifest when the tensors match, or when there is no manifest to hold them against. */
export const tensorManifestAnswer = z.discriminatedUnion("status", [
  z.strictObject({ detail: z.string(), name: z.string(), status: z.literal("verified") }),
  z.strictObject({ name: z.string(), reason: z.string(), status: z.literal("skipped") }),
]);

/** Answer of `GET /v1/stats`. Damaged blobs are counted up to a bound; then `complete` is false. */
export const statsAnswer = z.strictObject({
  model_count: size,
  state_counts: z.record(z.string(), size),
  trusted_count: size,
  damaged_count: size,
  complete: z.boolean(),
});
