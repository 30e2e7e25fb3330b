import { z } from "zod";

/** What a process is asked to do. */
export type Task = "facts";

const reason = z.string().max(1_024);
const factsSchema = z.strictObject({
  format: z.enum(["gguf", "safetensors"]),
  architecture: z.string().min(1).max(256).optional(),
  quantization: z.string().min(1).max(16).optional(),
  parameters: z.int().nonnegative(),
  tensorCount: z.int().nonnegative(),
  suspicions: z.array(reason).max(64).readonly(),
});

/** What it answers: one line, which is not believed before it has this form, since whoever made the file may have taken the process over. */
const answerSchema = z.discriminatedUnion("answer", [
  z.strictObject({ answer: z.literal("facts"), facts: factsSchema }),
  /** The file breaks a rule. */
  z.strictObject({ answer: z.literal("unreadable"), reason }),
  /** It is not the file's fault. */
  z.strictObject({ answer: z.literal("failed"), reason }),
]);
export type Answer = z.infer<typeof answerSchema>;

/** The lines that a process writes: how far it is, and at the end its answer, with the most memory that it had (bytes). */
export const lineSchema = z.union([
  z.strictObject({ progress: z.int().nonnegative() }),
  z.strictObject({ peak: z.int().nonnegative(), result: answerSchema }),
]);
