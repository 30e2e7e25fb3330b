import { z } from "zod";
import { MAX_LISTED_ENTRIES, MAX_LISTED_TENSORS, MAX_SHOWN_VALUE } from "../formats/model-details.ts";
import { MAX_LISTED_FILES } from "../formats/tar-members.ts";

/** What a process is asked to do. */
export type Task = "facts" | "details" | "files" | "card" | "generate" | "verify" | "diff";

/** Of a README so many bytes are taken out of its archive. */
export const MAX_CARD_BYTES = 64 * 1024;

const reason = z.string().max(1_024);
const line = z.string().max(8_192);
const count = z.int().nonnegative();

const factsSchema = z.strictObject({
  format: z.enum(["gguf", "safetensors"]),
  architecture: z.string().min(1).max(256).optional(),
  quantization: z.string().min(1).max(16).optional(),
  parameters: count,
  tensorCount: count,
  suspicions: z.array(reason).max(64).readonly(),
});

const hash = z.string().regex(/^(?:[0-9a-f]{64})?$/);
const detailsSchema = z.strictObject({
  facts: factsSchema,
  metadata: z
    .array(z.strictObject({ key: reason, type: z.string().max(32), value: z.string().max(MAX_SHOWN_VALUE), hash }))
    .max(MAX_LISTED_ENTRIES)
    .readonly(),
  metadataCount: count,
  tensors: z
    .array(z.strictObject({ name: line, type: z.string().max(32), shape: z.array(count).max(32).readonly() }))
    .max(MAX_LISTED_TENSORS)
    .readonly(),
  tensorsHash: hash,
});

/** Does a file have the tensors of a manifest? `lines` tell at most so many of `count` mismatches. */
export const manifestCheckSchema = z.strictObject({
  outcome: z.enum(["match", "mismatch", "cannot-check"]),
  count,
  lines: z.array(line).max(1_000).readonly(),
});
/** What is different between two tensor manifests. */
export const manifestDiffSchema = z.strictObject({
  same: z.boolean(),
  members: z
    .array(z.strictObject({ member: reason, from: reason, to: reason }))
    .max(16)
    .readonly(),
  tensors: z.strictObject({ from: count, to: count, alike: count }),
  count,
  differences: z
    .array(z.strictObject({ name: line, change: z.enum(["added", "removed", "content", "type", "shape"]) }))
    .max(1_000)
    .readonly(),
});

const packedFileSchema = z.strictObject({ path: reason.min(1), at: count, size: count });

/** What it answers: one line, which is not believed before it has this form, since whoever made the file may have taken the process over. */
const answerSchema = z.discriminatedUnion("answer", [
  z.strictObject({ answer: z.literal("facts"), facts: factsSchema }),
  z.strictObject({ answer: z.literal("details"), details: detailsSchema }),
  z.strictObject({ answer: z.literal("files"), files: z.array(packedFileSchema).max(MAX_LISTED_FILES).readonly(), isWhole: z.boolean() }),
  /** Its beginning was written to the pipe. */
  z.strictObject({ answer: z.literal("card"), path: reason, isCut: z.boolean() }),
  /** The manifest was written to the pipe. */
  z.strictObject({ answer: z.literal("generated") }),
  z.strictObject({ answer: z.literal("checked"), check: manifestCheckSchema }),
  z.strictObject({ answer: z.literal("compared"), diff: manifestDiffSchema }),
  /** The file breaks a rule. */
  z.strictObject({ answer: z.literal("unreadable"), reason }),
  /** It is not the file's fault. */
  z.strictObject({ answer: z.literal("failed"), reason }),
]);
export type Answer = z.infer<typeof answerSchema>;

/** The lines that a process writes: how far it is, and at the end its answer, with the most memory that it had (bytes). */
export const lineSchema = z.union([z.strictObject({ progress: count }), z.strictObject({ peak: count, result: answerSchema })]);
