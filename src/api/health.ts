import { z } from "zod";
import { STATES } from "../lifecycle/state.ts";

/** Answer of `/readyz`; `degraded`: what is there is served, and uploads are refused for want of room. */
export const readyAnswer = z.strictObject({ status: z.enum(["ok", "degraded"]) });

/** Answer of `/livez`. */
export const probeAnswer = z.strictObject({ status: z.literal("ok") });

/** Answer of `/readyz` while the server should get no requests. */
export const notReadyAnswer = z.strictObject({ status: z.enum(["draining", "unavailable"]) });

const count = z.int().nonnegative();

/** Answer of `/health`: the status alone to strangers, counts to who comes with a credential and to programs of the same machine. */
export const healthAnswer = z.strictObject({
  status: z.literal("ok"),
  insecure_dev_mode: z.literal(true).optional().describe("only when it is on"),
  auth_required: z.boolean().optional(),
  model_count: count.optional(),
  trusted_count: count.optional(),
  state_counts: z.record(z.enum(STATES), count).optional(),
  damaged_count: count.optional().describe("blobs whose bytes are wrong or missing"),
  complete: z.boolean().optional().describe("false when more blobs are damaged than were counted"),
});
