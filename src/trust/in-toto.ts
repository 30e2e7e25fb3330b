import { z } from "zod";
import { JsonError, parseJson } from "../oci/json.ts";
import { Refusal } from "./reason.ts";
import { type Subject, isNamedBy } from "./subject.ts";

/** The payload type of in-toto statements in DSSE envelopes. */
const IN_TOTO = "application/vnd.in-toto+json";
const STATEMENT_TYPES: ReadonlySet<string> = new Set(["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"]);
const MAX_DEPTH = 64;
const MAX_SUBJECTS = 1_024;

const statementSchema = z.looseObject({
  _type: z.string(),
  subject: z.array(z.looseObject({ digest: z.looseObject({}) })).max(MAX_SUBJECTS),
  predicateType: z.string().min(1).max(2_048),
  predicate: z.unknown(),
});

/** What a signer states of some subjects. */
export interface Statement {
  readonly subjects: readonly Readonly<Record<string, unknown>>[];
  readonly predicateType: string;
  readonly predicate: unknown;
}

/** Reads the in-toto statement in a DSSE envelope, of version 0.1 or 1; throws a `Refusal`. */
export function readStatement({ payloadType, payload }: { readonly payloadType: string; readonly payload: Buffer }): Statement {
  if (payloadType !== IN_TOTO) throw new Refusal("payload-type");
  const parsed = statementSchema.safeParse(parse(payload));
  if (!parsed.success) throw new Refusal("malformed-payload");
  const { _type, subject, predicateType, predicate } = parsed.data;
  if (!STATEMENT_TYPES.has(_type)) throw new Refusal("statement-type");
  return { subjects: subject.map(({ digest }) => digest), predicateType, predicate: predicate ?? null };
}

function parse(payload: Buffer): unknown {
  try {
    return parseJson(payload, { maxDepth: MAX_DEPTH });
  } catch (error) {
    if (error instanceof JsonError) throw new Refusal("malformed-payload");
    throw error;
  }
}

/** Throws a `Refusal` unless one of the statement's subjects is the artifact. No library compares them (trust.md §2.3, 1). */
export function checkSubject(statement: Statement, subject: Subject): void {
  if (!statement.subjects.some((digests) => isNamedBy(subject, digests))) throw new Refusal("subject-mismatch");
}
