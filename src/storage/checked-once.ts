import type { z } from "zod";
import { frozen } from "./frozen.ts";

/**
 * A schema that checks a frozen value once: the same one cannot have become another. It is for records that each request reads, and that the
 * store knows from before; whoever reads one gets the same, so that it is frozen as well.
 */
export function checkedOnce<Schema extends z.ZodObject>(schema: Schema): Schema {
  const checked = new WeakMap<object, z.output<Schema>>();
  const parse = schema.parse.bind(schema);
  schema.parse = (value, params) => {
    if (typeof value !== "object" || value === null || !Object.isFrozen(value)) return parse(value, params);
    const known = checked.get(value);
    if (known !== undefined) return known;
    const record = frozen(parse(value, params));
    checked.set(value, record);
    return record;
  };
  return schema;
}
