import type { Charged, Grant } from "./buckets.ts";
import type { Limited } from "./classes.ts";

/** Whoever keeps the limits: this process, or one that several processes ask. */
export interface Limits {
  /** Takes at most `want` units, at least one or none. */
  take(limited: Limited, charged: Charged, want: number): Grant | Promise<Grant>;
}
