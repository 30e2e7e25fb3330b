import type { Binding, Principal } from "../../src/identity/principal.ts";
import type { Caller } from "../../src/registry/ports.ts";

/** A caller with roles written as `role@namespace`. */
export function callerWith(roles: readonly `${Binding["role"]}@${string}`[], over: Partial<Principal> = {}): Caller {
  const bindings = roles.map((text): Binding => {
    const [role, namespace] = text.split("@") as [Binding["role"], string];
    return { role, namespace };
  });
  const principal: Principal = {
    name: "somebody",
    kind: "service",
    bindings,
    countsAs: "somebody",
    duties: "standard",
    credential: "c1",
    access: undefined,
    ...over,
  };
  return { principal, actor: { principal: principal.name, kind: "service" } };
}
