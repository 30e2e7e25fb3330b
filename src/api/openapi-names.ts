import type { z } from "zod";
import type { JsonSchema } from "./json-schema.ts";
import { answers, requests, vocabulary } from "./operations.ts";

/** Where schemas stand in the document. */
export const SCHEMAS = "#/components/schemas/";

const NAMES: ReadonlyMap<z.ZodType, string> = new Map(
  Object.entries({ ...vocabulary, ...requests, ...answers }).map(([name, schema]) => [schema, name]),
);

/** A reference to a schema that has a name; throws a `TypeError` for one that has none. */
export function refTo(schema: z.ZodType): JsonSchema {
  const name = NAMES.get(schema);
  if (name === undefined) throw new TypeError("every body of a request or an answer has a name");
  return { $ref: `${SCHEMAS}${name}` };
}
