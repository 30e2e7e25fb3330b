import type { Binding, Principal } from "../../src/identity/principal.ts";
import type { Caller } from "../../src/registry/ports.ts";
import { principalWith } from "./principal.ts";

/** A caller with roles written as `role@namespace`. */
export function callerWith(roles: readonly `${Binding["role"]}@${string}`[], over: Partial<Principal> = {}): Caller {
  const bindings = roles.map((text): Binding => {
    const [role, namespace] = text.split("@") as [Binding["role"], string];
    return { role, namespace };
  });
  const principal = principalWith(bindings, over);
  return { principal, actor: { principal: principal.name, kind: "service" } };
}
