import { must } from "../must.ts";
import type { Ran } from "../run-program.ts";

/**
 * What a verifier found: `verifies` when it ended with 0, `refuses` when it ended otherwise and said so in its words for that. Throws when
 * it failed for another reason, such as an option that it does not know, which would look like a refusal.
 */
export function verdictOf({ code, out, err }: Ran, refusal: RegExp): "verifies" | "refuses" {
  if (code === 0) return "verifies";
  must(refusal.test(out + err), `failed for another reason than ${refusal}\n${out}${err}`);
  return "refuses";
}
