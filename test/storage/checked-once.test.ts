import { expect, test } from "vitest";
import { z } from "zod";
import { checkedOnce } from "../../src/storage/checked-once.ts";
import { frozen } from "../../src/storage/frozen.ts";

const schema = checkedOnce(z.strictObject({ roles: z.array(z.string()) }));

test("a frozen value is checked once, and nobody changes what comes of it", () => {
  const value = frozen({ roles: ["reader"] });
  const record = schema.parse(value);
  expect(record).toEqual(value);
  expect(schema.parse(value)).toBe(record);
  expect(() => record.roles.push("operator")).toThrow(TypeError);
  expect(schema.parse(frozen({ roles: [] }))).toEqual({ roles: [] });
});

test("a value that may have changed is checked each time", () => {
  const value: { roles: unknown[] } = { roles: ["reader"] };
  schema.parse(value);
  value.roles.push(1);
  expect(() => schema.parse(value)).toThrow(z.ZodError);
});

test("what does not fit is refused each time", () => {
  const value = frozen({ roles: "all" });
  for (let tries = 0; tries < 2; tries += 1) expect(() => schema.parse(value)).toThrow(z.ZodError);
  expect(() => schema.parse(null)).toThrow(z.ZodError);
});
