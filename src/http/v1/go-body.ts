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

/** What Go has a member as. A number in a `map[string]any` is a double, one of an `int64` is neither fraction nor exponent. */
type GoType = "string" | "int64" | "map[string]string" | "map[string]any";

/** A body: its members as Go has them, what they may be besides, and the predecessor's words for those that are not. */
interface GoBody<Shape extends z.ZodRawShape> {
  readonly types: { readonly [Member in keyof Shape]: GoType };
  readonly schema: z.ZodObject<Shape, z.core.$strict>;
  readonly refusal: (member: string) => string;
}

/**
 * A body as the predecessor reads it: names of members in any case, null or an empty text for what is not said; strict otherwise, and no member twice in
 * whatever case. A member that is not known or has another type is `invalid request body`, before any bound is looked at.
 */
export async function goBody<Shape extends z.ZodRawShape>(
  c: Ask,
  { types, schema, refusal }: GoBody<Shape>,
): Promise<z.output<z.ZodObject<Shape, z.core.$strict>>> {
  const bytes = await bytesOf(c);
  const parsed = schema.safeParse(saidOf(parse(bytes), new Map(Object.entries<GoType>(types)), integersOf(bytes)));
  if (parsed.success) return parsed.data;
  throw new RegistryError("INVALID", refusal(String(parsed.error.issues[0]?.path[0] ?? "")));
}

function malformed(): RegistryError {
  return new RegistryError("INVALID", "invalid request body");
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
  throw malformed();
}

/** What is said, by the member that is meant. */
function saidOf(
  body: Record<string, unknown>,
  types: ReadonlyMap<string, GoType>,
  integers: ReadonlySet<string>,
): Readonly<Record<string, unknown>> {
  const byFold = new Map([...types.keys()].map((member) => [foldCase(member), member]));
  const said = new Map<string, unknown>();
  for (const [name, value] of Object.entries(body)) {
    const member = byFold.get(foldCase(name));
    const type = types.get(member ?? "");
    if (member === undefined || type === undefined || said.has(member)) throw malformed();
    said.set(member, value === null ? UNSAID : ofType(type, value, integers.has(name)));
  }
  return Object.fromEntries([...said].filter(([, value]) => value !== UNSAID));
}

/** Go takes null for nothing, and cannot tell an empty text from it. */
const UNSAID = "";

/** The value as Go has it; `isInt64`: is it a number that Go reads into an int64? */
function ofType(type: GoType, value: unknown, isInt64: boolean): unknown {
  switch (type) {
    case "string":
      if (typeof value === "string") return value;
      break;
    case "int64":
      if (isInt64) return value;
      break;
    case "map[string]string":
      if (isTexts(value)) return Object.fromEntries(Object.entries(value).map(([name, text]) => [name, text ?? UNSAID]));
      break;
    case "map[string]any":
      if (isObject(value) && hasDoublesOnly(value)) return value;
  }
  throw malformed();
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTexts(value: unknown): value is Record<string, string | null> {
  return isObject(value) && Object.values(value).every((text) => typeof text === "string" || text === null);
}

/** No double holds a number that JSON.parse makes infinite. Recursion is safe: the depth was bounded before. */
function hasDoublesOnly(value: unknown): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  return typeof value !== "object" || value === null || Object.values(value).every(hasDoublesOnly);
}

const INT64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n } as const;

/** The members of a body, by their names there, that are written as Go reads an int64: whole, in range, without fraction and exponent. */
function integersOf(bytes: Uint8Array): ReadonlySet<string> {
  const found: (readonly [holder: unknown, name: string])[] = [];
  const body: unknown = JSON.parse(Buffer.from(bytes).toString(), function note(this: unknown, name, value: unknown, context?: Written) {
    if (typeof value === "number" && isInt64Text(context?.source)) found.push([this, name]);
    return value;
  });
  return new Set(found.filter(([holder]) => holder === body).map(([, name]) => name));
}

/** How a number stands in the text, which its value does not tell. */
interface Written {
  readonly source?: string;
}

function isInt64Text(source: string | undefined): boolean {
  if (source === undefined || !/^-?\d{1,19}$/.test(source)) return false;
  const value = BigInt(source);
  return value >= INT64.min && value <= INT64.max;
}
