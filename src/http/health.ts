import { RegistryError } from "../oci/errors.ts";
import { countStates } from "../registry/count-states.ts";
import type { Services } from "../registry/ports.ts";
import { type Condition, Readiness } from "../registry/readiness.ts";
import { countDamaged } from "../registry/verify-damage.ts";
import type { Gatekeeper } from "./app.ts";
import { isFromThisMachine } from "./local-reader.ts";
import type { Ask, Door } from "./route.ts";

/** What the health doors tell of. */
export interface HealthParts {
  readonly services: Pick<Services, "metadata" | "blobs" | "clock" | "newId" | "log">;
  readonly gatekeeper: Gatekeeper;
  /** Is the server about to stop? */
  readonly draining: () => boolean;
  readonly insecureDevMode: boolean;
  /** Is a credential demanded of who changes something? */
  readonly authRequired: boolean;
  /** Is the registry for this machine alone, so that its programs need no credential for what is not secret to them? */
  readonly isLocal: boolean;
}

/** `/health`, `/livez` and `/readyz`: to strangers nothing that tells what is here (RULES 32). */
export function healthDoors(parts: HealthParts): readonly Door[] {
  const readiness = new Readiness(parts.services);
  const open = { method: "GET", action: "open" } as const;
  return [
    { ...open, path: "/livez", handle: (c: Ask) => answer(c, "ok") },
    { ...open, path: "/readyz", handle: async (c: Ask) => answer(c, await stateOf(parts, readiness)) },
    { ...open, path: "/health", handle: (c: Ask) => health(c, parts) },
  ];
}

async function stateOf({ draining }: HealthParts, readiness: Readiness): Promise<Condition | "draining"> {
  return draining() ? "draining" : readiness.condition();
}

/** Who is degraded still serves: to send readers away would help nobody. */
function answer(c: Ask, status: Condition | "draining"): Response {
  return c.json({ status }, status === "ok" || status === "degraded" ? 200 : 503, { "Cache-Control": "no-store" });
}

async function health(c: Ask, { services, gatekeeper, insecureDevMode, authRequired, isLocal }: HealthParts): Promise<Response> {
  const status = { status: "ok", ...(insecureDevMode && { insecure_dev_mode: true }) };
  c.header("Cache-Control", "no-store");
  if (!(isLocal && isFromThisMachine(c)) && !(await isKnown(c, gatekeeper))) return c.json(status);
  const counts = await countStates(services);
  const damaged = await countDamaged(services);
  return c.json({
    ...status,
    auth_required: authRequired,
    model_count: Object.values(counts).reduce((sum, count) => sum + count, 0),
    trusted_count: counts.trusted,
    state_counts: counts,
    damaged_count: damaged.count,
    complete: damaged.complete,
  });
}

/** A wrong credential is told no more than none: a probe is to learn that the registry is up, and nothing else. */
async function isKnown(c: Ask, gatekeeper: Gatekeeper): Promise<boolean> {
  if (c.req.header("authorization") === undefined) return false;
  try {
    await gatekeeper.admit(c, "credential", undefined);
    return true;
  } catch (error) {
    if (error instanceof RegistryError && (error.code === "UNAUTHORIZED" || error.code === "DENIED")) return false;
    throw error;
  }
}
