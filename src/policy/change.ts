import { z } from "zod";
import { canonicalJson } from "../oci/canonical-json.ts";

/**
 * What a change does to what a policy asks for: `tighter`: nothing meets it that did not before; `looser`: the other way round; `none`:
 * nothing; `unknown`: that cannot be told without the artifacts.
 */
const effectSchema = z.enum(["tighter", "looser", "none", "unknown"]);
/** What a change does to what a policy asks for. */
export type Effect = z.infer<typeof effectSchema>;

/** A part of a policy, as it was or as it is. */
export const policyValueSchema = z.json();

/** One difference between two versions of a policy. */
export const policyChangeSchema = z.strictObject({
  path: z.string().describe("where in the document, members of lists by their names"),
  change: z.enum(["added", "removed", "changed"]),
  effect: effectSchema,
  message: z.string().describe("what is different, in words"),
  before: policyValueSchema.exactOptional(),
  after: policyValueSchema.exactOptional(),
});
/** One difference between two versions of a policy. */
export type PolicyChange = z.infer<typeof policyChangeSchema>;

/** Where a difference is: in the document, and in words. */
export interface Place {
  readonly path: string;
  readonly words: string;
}

/** A place within another one. */
export function within({ path, words }: Place, member: string): Place {
  return { path: `${path}.${member}`, words };
}

/** Something that is new, and what that does. */
export function added({ path, words }: Place, thing: string, value: unknown, effect: Effect): PolicyChange {
  return { path, change: "added", effect, message: `${words}: ${thing} is added`, after: valueOf(value) };
}

/** Something that is gone, and what that does. */
export function removed({ path, words }: Place, thing: string, value: unknown, effect: Effect): PolicyChange {
  return { path, change: "removed", effect, message: `${words}: ${thing} is removed`, before: valueOf(value) };
}

/** Something that has another value; nothing where it has the same. */
export function changed(
  { path, words }: Place,
  thing: string,
  [before, after]: readonly [unknown, unknown],
  effect: Effect,
): PolicyChange[] {
  if (isSame(before, after)) return [];
  const message = `${words}: ${thing} is ${textOf(after)} instead of ${textOf(before)}`;
  return [{ path, change: "changed", effect, message, before: valueOf(before), after: valueOf(after) }];
}

/** An amount; `more` is what a greater one does. */
export function changedAmount(place: Place, thing: string, [before, after]: readonly [number, number], more: Effect): PolicyChange[] {
  return changed(place, thing, [before, after], after > before ? more : opposite(more));
}

/** A list whose order means nothing; `more` is what one more of it does. */
export function changedList(
  place: Place,
  { thing, more }: { readonly thing: string; readonly more: Effect },
  [before, after]: readonly [readonly unknown[], readonly unknown[]],
): PolicyChange[] {
  return [
    ...missingIn(before, after).map((value) => removed(place, `${thing} ${textOf(value)}`, value, opposite(more))),
    ...missingIn(after, before).map((value) => added(place, `${thing} ${textOf(value)}`, value, more)),
  ];
}

/** Those of one list that another one lacks. */
export function missingIn<T>(list: readonly T[], other: readonly T[]): readonly T[] {
  const known = new Set(other.map((value) => canonicalJson(value)));
  return list.filter((value) => !known.has(canonicalJson(value)));
}

/** The other way round. */
function opposite(effect: Effect): Effect {
  if (effect === "tighter") return "looser";
  return effect === "looser" ? "tighter" : effect;
}

/** What several changes do together. */
export function effectOfAll(changes: readonly PolicyChange[]): Effect {
  const effects = new Set(changes.map(({ effect }) => effect).filter((effect) => effect !== "none"));
  const [only, ...others] = effects;
  return only === undefined ? "none" : others.length === 0 ? only : "unknown";
}

/** Are two values the same, whatever the order of their members? */
export function isSame(one: unknown, other: unknown): boolean {
  return canonicalJson(one) === canonicalJson(other);
}

function valueOf(value: unknown): z.infer<typeof policyValueSchema> {
  return policyValueSchema.parse(JSON.parse(canonicalJson(value)));
}

const MAX_SHOWN = 200;

/** A value in a message. */
export function textOf(value: unknown): string {
  const text = typeof value === "string" ? value : canonicalJson(value);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN).toWellFormed()}…` : text;
}
