import type { z } from "zod";
import { RegistryError } from "../../oci/errors.ts";
import { foldCase } from "../../oci/fold-case.ts";
import { JsonError, parseJson } from "../../oci/json.ts";
import { wholeBody } from "../body.ts";
import type { Ask } from "../route.ts";

/** RULES 32. */
const MAX_BODY = 1024 * 1024;
/** The deepest that the predecessor takes, a fingerprint of 32, stands in a member of the body. */
const MAX_DEPTH = 34;

/** Which text the predecessor has for a member that does not fit; undefined: its type is wrong. */
export type Refusal = (member: string, value: unknown) => string | undefined;

/**
 * A body as the predecessor reads it: names of members in any case, null or an empty text for what is not said; strict otherwise, and no member twice in
 * whatever case. What has the wrong type is `invalid request body`; for all else `refusal` has the words.
 */
export async function goBody<Shape extends z.ZodRawShape>(
  c: Ask,
  schema: z.ZodObject<Shape, z.core.$strict>,
  refusal: Refusal,
): Promise<z.output<z.ZodObject<Shape, z.core.$strict>>> {
  const members = folded(parse(await bytesOf(c)), Object.keys(schema.shape));
  const parsed = schema.safeParse(members);
  if (parsed.success) return parsed.data;
  const texts = parsed.error.issues.map((issue) => {
    const member = String(issue.path[0] ?? "");
    return isMalformed(issue) ? undefined : refusal(member, members[member]);
  });
  throw new RegistryError("INVALID", texts.includes(undefined) ? MALFORMED : texts[0]);
}

const MALFORMED = "invalid request body";

function isMalformed({ code, message }: z.core.$ZodIssue): boolean {
  return code === "unrecognized_keys" || (code === "invalid_type" && !isMissing(message));
}

/** zod says of a member that is not there that its type is wrong. */
function isMissing(message: string): boolean {
  return message.endsWith("received undefined");
}

async function bytesOf(c: Ask): Promise<Buffer> {
  try {
    return await wholeBody(c, MAX_BODY);
  } catch (error) {
    throw error instanceof RegistryError && error.code === "TOO_LARGE" ? new RegistryError("TOO_LARGE", "request too large") : error;
  }
}

function parse(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value = parseJson(bytes, { maxDepth: MAX_DEPTH });
    if (value === null) return {};
    if (typeof value === "object" && !Array.isArray(value)) return Object.fromEntries(Object.entries(value));
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
  }
  throw new RegistryError("INVALID", MALFORMED);
}

function folded(value: Record<string, unknown>, fields: readonly string[]): Record<string, unknown> {
  const byFold = new Map(fields.map((field) => [foldCase(field), field]));
  const members = Object.entries(value).map(([name, member]) => [byFold.get(foldCase(name)) ?? name, member] as const);
  if (new Set(members.map(([name]) => name)).size !== members.length) throw new RegistryError("INVALID", MALFORMED);
  return Object.fromEntries(members.filter(([name, member]) => !(fields.includes(name) && isUnsaid(member))));
}

/** Go takes null for nothing, and cannot tell an empty text from it. */
function isUnsaid(member: unknown): boolean {
  return member === null || member === "";
}
