import { registryRights } from "../../identity/authorize.ts";
import { RegistryError } from "../../oci/errors.ts";
import type { Caller } from "../../registry/ports.ts";

/** Why the caller may not change policies, trust roots and revoked publishers; undefined where it may. */
export function policyHindrance({ principal }: Caller): string | undefined {
  return registryRights(principal).has("administer:policy") ? undefined : "it needs the permission administer:policy, which operators have";
}

/** What the doors of `/v1` declare. Throws DENIED. */
export function demandPolicyRight(caller: Caller): void {
  const why = policyHindrance(caller);
  if (why !== undefined) throw new RegistryError("DENIED", `${why}: nothing was changed`);
}
