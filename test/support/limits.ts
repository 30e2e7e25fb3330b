import { type Bounds, DEFAULT_BOUNDS, ownLimits } from "../../src/limits/keeper.ts";
import type { Limits } from "../../src/limits/limits.ts";

/** The limits of a registry that is one process. */
export function limitsOf(bounds: Partial<Bounds> = {}): Limits {
  return ownLimits({ ...DEFAULT_BOUNDS, ...bounds }, () => performance.now());
}

/** Of whatever a namespace could have a quota of, any number. */
export const NO_QUOTA = { bytes: null, artifacts: null, manifests: null, tags: null, uploads: null } as const;
