import { RegistryError } from "../../src/oci/errors.ts";
import type { Outcome } from "./reference-model.ts";

const OUTCOMES: Readonly<Record<string, Outcome>> = {
  NOT_FOUND: "hidden",
  MANIFEST_UNKNOWN: "hidden",
  BLOB_UNKNOWN: "hidden",
  DENIED: "denied",
  CONFLICT: "conflict",
  REFUSED: "refused",
};

/** What an error says came of an act; throws what no model foresees. */
export function outcomeOf(error: unknown): Outcome {
  const outcome = error instanceof RegistryError ? OUTCOMES[error.code] : undefined;
  if (outcome === undefined) throw error;
  return outcome;
}
