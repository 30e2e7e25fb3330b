import { namespacesWith } from "./authorize.ts";
import { isIdentityName, isReservedIdentity } from "./name.ts";
import { type Binding, type Principal, ROLES, type Role } from "./principal.ts";
import { GRANTABLE_BY_OWNER, NAMESPACE_ROLES, REGISTRY_ROLES } from "./role.ts";

/** `forbidden`: the caller may not do it. `invalid`: nobody may. */
export type Grant =
  | { readonly effect: "permit"; /** As whose person the new identity counts (RULES 17). */ readonly countsAs: string }
  | { readonly effect: "forbidden" | "invalid"; readonly reason: string };

/** What is known of the identity that a grant names, where there is one already. */
export interface KnownIdentity {
  readonly kind: "human" | "service";
  readonly bindings: readonly Binding[];
  readonly countsAs: string;
}

/** May the caller make a key for a service identity of this name with exactly this role (RULES 17)? */
export function decideGrant(caller: Principal, name: string, binding: Binding, known: KnownIdentity | undefined): Grant {
  const wrong = faultOfName(name) ?? faultOfBinding(binding);
  if (wrong !== undefined) return { effect: "invalid", reason: wrong };
  if (caller.access !== undefined) return { effect: "forbidden", reason: "an access token cannot make keys; come with an API key" };
  const refused = refusalOfGrantor(caller, binding);
  if (refused !== undefined) return { effect: "forbidden", reason: refused };
  const countsAs = owns(caller, binding.namespace) ? caller.countsAs : name;
  if (known === undefined) return { effect: "permit", countsAs };
  return decideForKnown(caller, name, binding, known);
}

/** The roles that the caller grants, and where; undefined for who grants none. */
export function grantsOf(caller: Principal): { readonly roles: readonly Role[]; readonly namespaces: "*" | readonly string[] } | undefined {
  if (caller.access !== undefined) return undefined;
  if (isOperator(caller)) return { roles: ROLES, namespaces: "*" };
  const namespaces = [...new Set(caller.bindings.filter(({ role }) => role === "owner").map(({ namespace }) => namespace))];
  const owned = namespaces.filter((namespace) => owns(caller, namespace)).toSorted();
  return owned.length === 0 ? undefined : { roles: ROLES.filter((role) => GRANTABLE_BY_OWNER.has(role)), namespaces: owned };
}

/** May the caller see, rotate and revoke the keys of an identity? Everybody may do that with their own. */
export function administersKeysOf(caller: Principal, name: string, { bindings, countsAs }: KnownIdentity): boolean {
  if (caller.access !== undefined || caller.kind === "service-token") return false;
  if (caller.name === name || isOperator(caller)) return true;
  // Only what counts as the caller: with the key of another person it could meet its own duties by itself.
  if (countsAs !== caller.countsAs) return false;
  return bindings.every(({ role, namespace }) => GRANTABLE_BY_OWNER.has(role) && owns(caller, namespace));
}

function decideForKnown(caller: Principal, name: string, { role, namespace }: Binding, known: KnownIdentity): Grant {
  const [only, ...more] = known.bindings;
  const same = known.kind === "service" && more.length === 0 && only?.role === role && only.namespace === namespace;
  if (!same) return { effect: "invalid", reason: `the identity ${name} exists, and not with exactly this role; choose another name` };
  if (!administersKeysOf(caller, name, known)) return { effect: "forbidden", reason: `the keys of ${name} are not yours to make` };
  return { effect: "permit", countsAs: known.countsAs };
}

function faultOfName(name: string): string | undefined {
  if (!isIdentityName(name)) return "an identity's name is lower-case letters and digits, joined by single . _ or -, at most 64 characters";
  return isReservedIdentity(name) ? `the name ${name} is reserved; choose another one` : undefined;
}

function faultOfBinding({ role, namespace }: Binding): string | undefined {
  if (REGISTRY_ROLES.has(role) && namespace !== "*") return `the role ${role} holds for the whole registry: its namespace is *`;
  if (NAMESPACE_ROLES.has(role) && namespace === "*") return `the role ${role} holds in one namespace: name it`;
  return undefined;
}

function refusalOfGrantor(caller: Principal, { role, namespace }: Binding): string | undefined {
  if (isOperator(caller)) return undefined;
  if (owns(caller, namespace) && GRANTABLE_BY_OWNER.has(role)) return undefined;
  return "an owner grants reader, publisher and maintainer in its own namespace; everything else is granted by an operator";
}

function isOperator(caller: Principal): boolean {
  return namespacesWith(caller, "administer:keys") === "*";
}

function owns({ bindings }: Principal, namespace: string): boolean {
  return namespace !== "*" && bindings.some((binding) => binding.role === "owner" && binding.namespace === namespace);
}
