import { z } from "zod";
import { LIMITED } from "./classes.ts";
import { WORK } from "./turns.ts";
import { ADMISSIONS } from "./uploads.ts";

const claim = z.object({
  upload: z.string(),
  namespace: z.string(),
  identity: z.string(),
  bytes: z.number(),
  left: z.number().nullable(),
  open: z.number().nullable(),
});
const work = z.enum(WORK);

/** What a process asks the one that keeps the limits, or tells it. */
export const questionSchema = z.discriminatedUnion("ask", [
  z.object({
    ask: z.literal("take"),
    limited: z.enum(LIMITED),
    charged: z.object({
      address: z.string(),
      identity: z.string().optional(),
      credential: z.string().optional(),
      namespace: z.string().optional(),
    }),
    want: z.number().int().positive(),
  }),
  z.object({ ask: z.enum(["admit", "arrive"]), claim }),
  z.object({ ask: z.enum(["pause", "end"]), upload: z.string() }),
  z.object({ ask: z.enum(["begin", "done"]), work }),
  z.object({ ask: z.enum(["connect", "disconnect"]), counted: z.string().nullable() }),
]);
export type Question = z.infer<typeof questionSchema>;

export const grantSchema = z.object({ units: z.number(), wait: z.number(), left: z.number(), fullIn: z.number() });
export const admissionSchema = z.enum(ADMISSIONS);

/** What it is answered: a grant, an admission, or whether work may begin or a connection be taken; nothing where it only told. */
export const answerSchema = z.union([grantSchema, admissionSchema, z.boolean(), z.null()]);
export type Answer = z.infer<typeof answerSchema>;
