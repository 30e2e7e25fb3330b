import { z } from "zod";

/** Defaults that depend on other settings or the machine: as the table shows them. */
export const computed = z.registry<{ readonly fallback: string }>();

/** A whole number within bounds, as a number or as text. */
export function count(least: number, most: number) {
  const error = `must be a whole number from ${least} to ${most}`;
  return z
    .union([z.number(), z.string().regex(/^\d{1,15}$/, error)], { error })
    .transform(Number)
    .refine((value) => Number.isSafeInteger(value) && value >= least && value <= most, error);
}
