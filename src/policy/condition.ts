import { z } from "zod";
import { canonicalJson } from "../oci/canonical-json.ts";

const MAX_POINTER = 512;
const MAX_TEXT = 1_024;
const MAX_CHOICES = 64;
/** How far (ms) a time may lie ahead: clocks differ. */
const AHEAD = 300_000;

const jsonSchema = z.json();
const place = {
  path: z
    .string()
    .max(MAX_POINTER)
    .regex(/^(?:\/(?:[^~/]|~[01])*)+$/, "must be a JSON pointer into the predicate, such as /result"),
};

/** What a statement's predicate must say in one place, named by JSON pointer (RFC 6901); a place that is not there fails. */
export const conditionSchema = z.discriminatedUnion("op", [
  z.strictObject({ ...place, op: z.literal("eq"), value: jsonSchema }),
  z.strictObject({ ...place, op: z.literal("in"), value: z.array(jsonSchema).min(1).max(MAX_CHOICES) }),
  z.strictObject({ ...place, op: z.literal("prefix"), value: z.string().min(1).max(MAX_TEXT) }),
  z.strictObject({ ...place, op: z.literal("contains"), value: jsonSchema }),
  z.strictObject({ ...place, op: z.literal("exists") }),
  z.strictObject({ ...place, op: z.literal("maxAgeSeconds"), value: z.int().min(1).max(3_153_600_000) }),
]);
/** What a statement's predicate must say in one place. */
export type Condition = z.infer<typeof conditionSchema>;

/** Does it hold, and until when (epoch, ms; undefined: for ever)? */
export type Met = { readonly met: true; readonly until: number | undefined } | { readonly met: false };

const UNMET: Met = { met: false };

/** Does a predicate meet a condition now (epoch, ms)? */
export function meets(predicate: unknown, condition: Condition, now: number): Met {
  const found = lookUp(predicate, condition.path);
  if (found === undefined) return UNMET;
  if (condition.op === "maxAgeSeconds") return isFresh(found, condition.value * 1_000, now);
  return isMet(found, condition) ? { met: true, until: undefined } : UNMET;
}

function isMet(found: unknown, condition: Exclude<Condition, { op: "maxAgeSeconds" }>): boolean {
  switch (condition.op) {
    case "eq":
      return isSame(found, condition.value);
    case "in":
      return condition.value.some((choice) => isSame(found, choice));
    case "prefix":
      return typeof found === "string" && found.startsWith(condition.value);
    case "contains":
      return Array.isArray(found) && found.some((item) => isSame(item, condition.value));
    case "exists":
      return true;
  }
}

/** Own properties only, so that no name of a prototype's member is ever found (trust.md §4). */
function lookUp(value: unknown, pointer: string): unknown {
  let at = value;
  for (const token of pointer.split("/").slice(1)) {
    const name = token.replaceAll("~1", "/").replaceAll("~0", "~");
    if (typeof at !== "object" || at === null || !isMember(at, name)) return undefined;
    at = Reflect.get(at, name);
  }
  return at;
}

function isMember(value: object, name: string): boolean {
  return Array.isArray(value) ? /^(?:0|[1-9]\d{0,8})$/.test(name) && Number(name) < value.length : Object.hasOwn(value, name);
}

function isSame(one: unknown, other: unknown): boolean {
  try {
    return canonicalJson(one) === canonicalJson(other);
  } catch {
    // What has no canonical form equals nothing: an integer that readers round differently, for one.
    return false;
  }
}

/** Of text alone that says the time zone: without one it would be the server's. */
const timeSchema = z.iso.datetime({ offset: true });

function isFresh(found: unknown, maxAge: number, now: number): Met {
  const text = timeSchema.safeParse(found);
  if (!text.success) return UNMET;
  const time = Date.parse(text.data);
  const until = time + maxAge;
  return Number.isFinite(time) && now <= until && time - now <= AHEAD ? { met: true, until } : UNMET;
}
