import { z } from "zod";
import { LIMITED } from "./classes.ts";

/** What a process asks the one that keeps the limits. */
export const questionSchema = z.object({
  ask: z.literal("take"),
  limited: z.enum(LIMITED),
  charged: z.object({ address: z.string(), identity: z.string().optional(), credential: z.string().optional() }),
  want: z.number().int().positive(),
});
export type Question = z.infer<typeof questionSchema>;

/** What it is told. */
export const answerSchema = z.object({ units: z.number(), wait: z.number(), left: z.number(), fullIn: z.number() });
export type Answer = z.infer<typeof answerSchema>;
