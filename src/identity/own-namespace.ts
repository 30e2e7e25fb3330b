import { namespacesWith } from "./authorize.ts";
import type { Binding, Principal } from "./principal.ts";

/** Bounds an identity's bindings, which every request of it reads. */
const MAX_BINDINGS = 256;

/** What tells whether an identity may own one more namespace. */
interface Owner {
  readonly name: string;
  readonly bindings: readonly Binding[];
  readonly disabled: boolean;
}

/** Does the caller run the registry, and come with a key of its own? A token is for what it was asked for, and never for that. */
export function isOperatorWithKey(caller: Principal): boolean {
  return namespacesWith(caller, "administer:system") === "*" && caller.access === undefined;
}

/** Why the caller makes no namespaces; undefined where it does. They are closed: only operators make them (identity.md 6.4). */
export function refusalOfMaker(caller: Principal): string | undefined {
  return isOperatorWithKey(caller) ? undefined : "only an operator makes namespaces, with an API key";
}

/** Why an identity gets no namespace of its own; undefined where it may. */
export function refusalOfOwner({ name, bindings, disabled }: Owner): string | undefined {
  if (disabled) return `the identity ${name} is disabled`;
  if (bindings.some(({ role }) => role === "operator"))
    return `${name} is an operator, and operators never push; name another identity as owner`;
  return bindings.length >= MAX_BINDINGS ? `${name} has ${MAX_BINDINGS} roles, and more are not allowed` : undefined;
}
