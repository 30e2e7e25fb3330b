import { z } from "zod";
import { STATES } from "../lifecycle/state.ts";
import { timeSchema } from "./time.ts";

/** Checks of stored bytes, as the predecessor's API answers them (secai-behaviour 1.6) and as they go on. Digests are hex, or empty. */
const count = z.int().nonnegative();
const hex = z.string().regex(/^[0-9a-f]*$/);

/** Answer of `POST /v1/model/verify` when the bytes are right. */
export const modelVerified = z.strictObject({
  name: z.string(),
  safe_to_use: z.enum(["true", "false"]).describe("true when readers were served it all the time"),
  sha256: hex,
  state: z.enum(STATES),
  status: z.literal("verified"),
});

/** Answer of `POST /v1/model/verify` when they are wrong or missing, by 409. */
export const modelNotVerified = z.strictObject({
  actual: hex,
  error: z.string(),
  expected: hex,
  name: z.string(),
  safe_to_use: z.literal("false"),
  status: z.literal("failed"),
});

/** Answer of `POST /v1/models/verify-all`; by 409 when something failed. */
export const allVerified = z.strictObject({
  checked: count,
  models: z.array(
    z.discriminatedUnion("status", [
      modelVerified.pick({ name: true, sha256: true, status: true }),
      modelNotVerified.omit({ safe_to_use: true }),
      z.strictObject({ name: z.string(), reason: z.string(), state: z.enum(STATES), status: z.literal("skipped") }),
    ]),
  ),
  status: z.enum(["ok", "failed"]),
});

const progress = {
  id: z.string(),
  by: z.string().nullable().optional().describe("who asked for it, null when nobody did; only for those who may read the audit"),
  started_at: timeSchema,
  blobs_checked: count,
  bytes_checked: count,
  blobs_damaged: count.describe("those that are missing among them"),
  blobs_unreadable: count.describe("those that the storage could not read"),
};

const runSchema = z.strictObject({
  ...progress,
  blobs_total: count.nullable().describe("null when there are more than are counted"),
  progress: z
    .number()
    .min(0)
    .max(1)
    .describe("how far it is, by bytes where they could be counted, else by the digests that it has passed"),
});
export type ShownRun = z.infer<typeof runSchema>;

const resultSchema = z.strictObject({
  ...progress,
  status: z.enum(["ok", "failed", "error"]).describe("error: not all could be checked"),
  detail: z.string().nullable(),
  checked_at: timeSchema,
  models_checked: count,
  failures: count.describe("artifacts that reach a damaged blob, up to a thousand"),
});
export type ShownResult = z.infer<typeof resultSchema>;

/** Answer of `GET /v1/models/verify-all`, and of a start that nobody waits for: the check under way, and the last one. */
export const verificationAnswer = z.strictObject({ current: runSchema.nullable(), last: resultSchema.nullable() });
export type VerificationAnswer = z.infer<typeof verificationAnswer>;

/** Answer of `DELETE /v1/models/verify-all`: what was cancelled, or null when there was nothing to cancel. */
export const cancelAnswer = z.strictObject({ cancelled: resultSchema.nullable() });
export type CancelAnswer = z.infer<typeof cancelAnswer>;
