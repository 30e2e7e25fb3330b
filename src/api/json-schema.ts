import { z } from "zod";

/** A JSON Schema of the 2020-12 dialect, or a part of one. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** What is read: as it may come in; what is answered: as it goes out, with every default filled in. */
export type Direction = "input" | "output";

/** One schema as a document of its own. */
export function documentOf(
  schema: z.ZodType,
  direction: Direction,
  about: { readonly title: string; readonly description: string },
): JsonSchema {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io: direction, unrepresentable: saidBeside });
  return { $schema, ...about, ...rest };
}

/** One schema as a part of another document. */
export function partOf(schema: z.ZodType, direction: Direction): JsonSchema {
  return without(["$schema"], z.toJSONSchema(schema, { io: direction, unrepresentable: saidBeside }));
}

/**
 * Schemas by name as parts of one document, which refer to each other below `prefix` and hold no other's copy. What refers to itself has to
 * have a name; throws a `TypeError` otherwise.
 */
export function partsOf(
  named: Readonly<Record<string, z.ZodType>>,
  direction: Direction,
  prefix: string,
): Readonly<Record<string, JsonSchema>> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(named)) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, { io: direction, unrepresentable: saidBeside, uri: (id) => `${prefix}${id}` });
  if ("__shared" in schemas) throw new TypeError("a schema that refers to itself needs a name");
  return Object.fromEntries(Object.entries(schemas).map(([id, part]) => [id, without(["$schema", "$id"], part)]));
}

/** Schemas by name as one document that holds them below `$defs`, with what is added there. */
export function collectionOf(
  named: Readonly<Record<string, z.ZodType>>,
  about: { readonly title: string; readonly description: string },
  added: Readonly<Record<string, JsonSchema>>,
): JsonSchema {
  return { $schema: DIALECT, ...about, $defs: { ...partsOf(named, "output", DEFINITIONS), ...added } };
}

const DIALECT = "https://json-schema.org/draft/2020-12/schema";
/** Where the schemas of a collection stand. */
export const DEFINITIONS = "#/$defs/";

function without(members: readonly string[], schema: object): JsonSchema {
  return Object.fromEntries(Object.entries(schema).filter(([name]) => !members.includes(name)));
}

/** What zod cannot tell is told by the metadata beside it; a check without any must not pass as "anything". */
function saidBeside({ zodSchema }: { readonly zodSchema: z.core.$ZodType }): "any" | "throw" {
  return z.globalRegistry.get(zodSchema)?.["type"] === undefined ? "throw" : "any";
}
