import { ERRORS, type ErrorCode } from "../oci/errors.ts";
import type { JsonSchema } from "./json-schema.ts";
import { SCHEMAS, refTo } from "./openapi-names.ts";
import { type Answer, type Operation, refusalsOf, speaksPredecessor } from "./operation.ts";

/** Headers of answers by their names in the document. */
export const HEADERS = {
  RequestId: { description: "names this request to the operator", required: true, schema: { type: "string" } },
  Challenge: { description: "where and how to log in", required: true, schema: { type: "string" } },
  RetryAfter: { description: "seconds to wait", required: true, schema: { type: "integer", minimum: 0 } },
  RateLimitPolicy: {
    description: "the limit that the request counts for, how many units there are in all, and in how many seconds they come back",
    required: false,
    schema: { type: "string", examples: ['"mutate";q=100;w=10'] },
  },
  RateLimit: {
    description: "how many units of that limit are left, and in how many seconds all of them are back",
    required: false,
    schema: { type: "string", examples: ['"mutate";r=99;t=1'] },
  },
  PerhapsRetryAfter: { description: "seconds to wait", required: false, schema: { type: "integer", minimum: 0 } },
} as const;

const PROBLEM = { "application/problem+json": { schema: { $ref: `${SCHEMAS}Problem` } } } as const;
const PREDECESSOR_ERROR = {
  "text/plain": { schema: { type: "string" } },
  "application/json": { schema: { $ref: `${SCHEMAS}PredecessorError` } },
} as const;

/** What refuses at one status: the codes that share it, and in whose words. */
interface Refusal {
  readonly status: number;
  readonly codes: readonly ErrorCode[];
  readonly isPredecessors: boolean;
}

/** The responses of an operation by status: those that only refuse by reference, as most operations share them. */
export function responsesOf(operation: Operation): JsonSchema {
  const refusals = new Map(refusalsAt(operation).map((refusal) => [refusal.status, refusal]));
  const statuses = new Set([...Object.keys(operation.answers).map(Number), ...refusals.keys()]);
  return Object.fromEntries(
    [...statuses].toSorted((a, b) => a - b).map((status) => [status, responseAt(status, operation.answers[status], refusals.get(status))]),
  );
}

/** Every response that only refuses, by its name. */
export function refusalResponses(operations: readonly Operation[]): JsonSchema {
  const all = new Map(operations.flatMap(refusalsAt).map((refusal) => [nameOf(refusal), refusal]));
  return Object.fromEntries(
    [...all]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, refusal]) => [name, { description: wordsOf(refusal), headers: headersOf(refusal.status), content: contentOf(refusal) }]),
  );
}

function refusalsAt(operation: Operation): readonly Refusal[] {
  const isPredecessors = speaksPredecessor(operation);
  const byStatus = Map.groupBy(refusalsOf(operation), (code): number => ERRORS[code].status);
  return [...byStatus].map(([status, codes]) => ({ status, codes: codes.toSorted(), isPredecessors }));
}

function responseAt(status: number, answer: Answer | undefined, refusal: Refusal | undefined): JsonSchema {
  if (answer === undefined) return refusal === undefined ? {} : { $ref: `#/components/responses/${nameOf(refusal)}` };
  return {
    description: [answer.says, ...(refusal === undefined ? [] : [wordsOf(refusal)])].join("; "),
    headers: headersOf(status),
    content: { ...(refusal && contentOf(refusal)), [answer.mediaType ?? "application/json"]: { schema: refTo(answer.schema) } },
  };
}

/** Such as `StorageFailedOrUnavailable`. */
function nameOf({ codes, isPredecessors }: Refusal): string {
  const words = codes.map((code) => code.toLowerCase().replaceAll(/(?:^|_)(.)/g, (_, letter: string) => letter.toUpperCase()));
  return `${isPredecessors ? "Predecessors" : ""}${words.join("Or")}`;
}

function wordsOf({ codes, isPredecessors }: Refusal): string {
  return codes.map((code) => `${isPredecessors ? "" : `\`${code.toLowerCase()}\`: `}${ERRORS[code].message}`).join("; ");
}

/** A malformed URL or Host is told before it is known whose door is meant. */
function contentOf({ isPredecessors, status }: Refusal): JsonSchema {
  if (!isPredecessors) return PROBLEM;
  return status === 400 ? { ...PREDECESSOR_ERROR, ...PROBLEM } : PREDECESSOR_ERROR;
}

function headersOf(status: number): JsonSchema {
  return {
    "X-Request-Id": headerRef("RequestId"),
    "RateLimit-Policy": headerRef("RateLimitPolicy"),
    RateLimit: headerRef("RateLimit"),
    ...(status === 401 && { "WWW-Authenticate": headerRef("Challenge") }),
    ...(status === 429 && { "Retry-After": headerRef("RetryAfter") }),
    ...(status === 503 && { "Retry-After": headerRef("PerhapsRetryAfter") }),
  };
}

function headerRef(name: keyof typeof HEADERS): JsonSchema {
  return { $ref: `#/components/headers/${name}` };
}
