import { z } from "zod";
import { visible } from "./visible.ts";

/** What the predecessor's API says of an artifact whose bytes are not those that were recorded. Digests are hex, `actual` empty where there are none. */
export const failedSchema = z.looseObject({
  status: z.literal("failed"),
  name: z.string(),
  error: z.string(),
  expected: z.string().default(""),
  actual: z.string().default(""),
});
export type Failed = z.infer<typeof failedSchema>;

/** The lines in which the predecessor's client tells it. */
export function failureText({ name, expected, actual }: Pick<Failed, "name" | "expected" | "actual">): string {
  return `FAILED: ${visible(name)}\n  expected: ${visible(expected)}\n  actual:   ${visible(actual)}`;
}
