import { type RepositoryName, namespaceOf } from "../oci/reference.ts";
import type { Permission, Rights } from "./permission.ts";
import type { Binding, Principal, TokenAccess } from "./principal.ts";
import { deletesOwnUploadsOnly, permissionsOf, readsUntrustedByDigestOnly } from "./role.ts";

const NOTHING: Rights = new Set();

/** The service token on artifacts that were pushed by OCI (RULES 21): read, verify, revoke. */
const SERVICE_TOKEN_RIGHTS: Rights = new Set<Permission>(["pull", "pull:any", "revoke"]);

/** The service token on records that were registered through `/v1` (RULES 21): all that its predecessor could do. */
const SERVICE_TOKEN_LEGACY_RIGHTS: Rights = new Set<Permission>([
  "pull",
  "pull:any",
  "acquire",
  "quarantine",
  "scan",
  "promote",
  "revoke",
  "reinstate",
  "delete",
  "delete:any",
]);

/** Programs of this machine without a credential, on records that were registered through `/v1` (RULES 19): as the predecessor showed them. */
const LOCAL_READER_RIGHTS: Rights = new Set<Permission>(["pull", "pull:any"]);

/** What an action of a token's scope lets through; a scope never asks for `:any`, live rights decide on it (identity.md 6.1). */
const COVERED: Readonly<Record<"pull" | "push" | "delete", readonly Permission[]>> = {
  pull: ["pull", "pull:any"],
  push: ["push", "push:any"],
  delete: ["delete", "delete:any"],
};

/** What the principal may do on a repository now: its live roles, capped by the scopes of the token that it came with. */
export function rightsOn(principal: Principal, repository: RepositoryName): Rights {
  return capped(liveRightsOn(principal, repository), principal.access, repository);
}

/** What the principal's live roles allow on a repository, whatever its token covers: for the source of a mount (identity.md 2.3.6). */
export function liveRightsOn(principal: Principal, repository: RepositoryName): Rights {
  if (principal.kind === "service-token") return SERVICE_TOKEN_RIGHTS;
  return new Set(bindingsOn(principal, repository).flatMap((binding) => givenBy(binding, principal)));
}

/**
 * As `rightsOn`, for a record that was registered through `/v1`, where the service token has its predecessor's rights (RULES 21) and
 * programs of this machine read (RULES 19).
 */
export function rightsOnRegistered(principal: Principal, repository: RepositoryName): Rights {
  if (principal.kind === "local-reader") return LOCAL_READER_RIGHTS;
  return principal.kind === "service-token" ? SERVICE_TOKEN_LEGACY_RIGHTS : rightsOn(principal, repository);
}

/** The rights that hold somewhere, for doors without a repository; `namespacesWith` says where. A token has only what its scopes cover. */
export function registryRights(principal: Principal): Rights {
  if (principal.kind === "service-token") return new Set<Permission>([...SERVICE_TOKEN_LEGACY_RIGHTS, "audit"]);
  const live = new Set(principal.bindings.flatMap((binding) => givenBy(binding, principal)));
  if (principal.access === undefined) return live;
  const covered = new Set(principal.access.filter(({ type }) => type === "repository").flatMap(coveredBy));
  return intersection(live, covered);
}

/** In which namespaces the principal's live roles give a permission: `*` for all, else their sorted names. */
export function namespacesWith(principal: Principal, permission: Permission): "*" | readonly string[] {
  if (principal.kind === "service-token") return registryRights(principal).has(permission) ? "*" : [];
  const giving = principal.bindings.filter((binding) => givenBy(binding, principal).includes(permission)).map(({ namespace }) => namespace);
  return giving.includes("*") ? "*" : [...new Set(giving)].toSorted();
}

/** Has the principal any role in a namespace? What it asks there is no stranger's business with it. */
export function hasRoleIn(principal: Principal, namespace: string): boolean {
  return principal.kind === "service-token" || principal.bindings.some((binding) => ["*", namespace].includes(binding.namespace));
}

/** May a tag's last pushed digest be resolved for the principal? A right to untrusted content by digest alone does not do that. */
export function mayResolvePushedTags(principal: Principal, repository: RepositoryName): boolean {
  if (!rightsOn(principal, repository).has("pull:any")) return false;
  return principal.kind === "service-token" || hasUnlimited(principal, repository, "pull:any", readsUntrustedByDigestOnly);
}

/** May the principal delete what others pushed? A publisher's `delete` is for its own uploads (identity.md 6.2). */
export function mayDeleteOthersUploads(principal: Principal, repository: RepositoryName): boolean {
  const rights = rightsOn(principal, repository);
  if (rights.has("delete:any")) return true;
  return rights.has("delete") && hasUnlimited(principal, repository, "delete", deletesOwnUploadsOnly);
}

/** Does the token, if there is one, cover the catalog of repositories? */
export function coversCatalog(principal: Principal): boolean {
  if (principal.access === undefined) return true;
  return principal.access.some(({ type, name, actions }) => type === "registry" && name === "catalog" && actions.includes("*"));
}

function bindingsOn(principal: Principal, repository: RepositoryName): readonly Binding[] {
  const own = namespaceOf(repository);
  return principal.bindings.filter(({ namespace }) => namespace === own || namespace === "*");
}

function givenBy({ role, namespace }: Binding, { duties }: Principal): readonly Permission[] {
  return permissionsOf(role, duties, namespace === "*" ? "everywhere" : "namespace");
}

function hasUnlimited(
  principal: Principal,
  repository: RepositoryName,
  permission: Permission,
  isLimited: (role: Binding["role"]) => boolean,
): boolean {
  return bindingsOn(principal, repository).some((binding) => !isLimited(binding.role) && givenBy(binding, principal).includes(permission));
}

function capped(live: Rights, access: readonly TokenAccess[] | undefined, repository: RepositoryName): Rights {
  if (access === undefined) return live;
  const scopes = access.filter(({ type, name }) => type === "repository" && name === repository);
  return scopes.length === 0 ? NOTHING : intersection(live, new Set(scopes.flatMap(coveredBy)));
}

function coveredBy({ actions }: TokenAccess): readonly Permission[] {
  return actions.flatMap((action) => (action === "*" ? Object.values(COVERED).flat() : COVERED[action]));
}

function intersection(live: Rights, covered: Rights): Rights {
  return new Set([...live].filter((permission) => covered.has(permission)));
}
