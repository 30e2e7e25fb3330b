import { homedir } from "node:os";
import { join } from "node:path";

/** Where installed tools of a kind are kept between runs: outside of the repository, so that a clean clone finds them. */
export function toolCache(kind: "go" | "python" | "debian"): string {
  return join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "ai-model-registry", kind);
}
