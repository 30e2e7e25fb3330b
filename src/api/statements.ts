import { z } from "zod";
import { jsonValueSchema } from "../audit/event.ts";
import { REGISTRY_STATEMENTS } from "../lifecycle/registry-statement.ts";
import { digestSchema } from "../oci/digest.ts";
import { timeSchema } from "./time.ts";

const MAX_LIST = 1_000;

/** Query of `GET /v1/statements`. */
export const statementsRequest = z.strictObject({
  after: z.coerce.number().int().nonnegative().default(0),
  limit: z.coerce.number().int().min(1).max(MAX_LIST).default(100),
});

/** What the registry states of itself: a change of what promotions are decided by. */
export const statementView = z.strictObject({
  sequence: z.int().positive(),
  kind: z.enum(REGISTRY_STATEMENTS),
  subjects: z.array(z.strictObject({ name: z.string(), digest: digestSchema })),
  at: timeSchema,
  statement: digestSchema.describe("of the payload: what the next one names as the one before"),
  bundle: jsonValueSchema.describe("the signed statement, as a Sigstore bundle"),
});
export type StatementView = z.infer<typeof statementView>;

/** Answer of `GET /v1/statements`, oldest first. */
export const statementPage = z.strictObject({
  statements: z.array(statementView),
  next: z.int().positive().nullable().describe("the after of the next page; null on the last"),
});
