import type { Permission } from "./permission.ts";
import type { DutyProfile, Role } from "./principal.ts";

/** The columns of the table of identity.md 6.2, without what its `ˢ` marks. */
const STANDING: Readonly<Record<Role, readonly Permission[]>> = {
  reader: ["pull"],
  publisher: ["pull", "pull:any", "push", "acquire", "quarantine", "delete"],
  scanner: ["pull", "pull:any", "quarantine", "scan"],
  reviewer: ["pull", "pull:any", "quarantine", "approve"],
  maintainer: ["pull", "pull:any", "push", "push:any", "acquire", "quarantine", "delete", "administer:repository"],
  owner: [
    "pull",
    "pull:any",
    "push",
    "push:any",
    "acquire",
    "quarantine",
    "delete",
    "administer:repository",
    "administer:members",
    "administer:keys",
  ],
  auditor: ["audit", "audit:export"],
  operator: ["pull", "quarantine", "audit", "administer:elevation", "administer:vault"],
};

/** What `ˢ` marks there: under the strict profile only an elevation grant gives it, so no role holds it. */
const ELEVATED: Readonly<Record<Role, readonly Permission[]>> = {
  reader: [],
  publisher: [],
  scanner: [],
  reviewer: ["promote", "revoke"],
  maintainer: [],
  owner: ["revoke"],
  auditor: [],
  operator: [
    "pull:any",
    "promote",
    "revoke",
    "revoke:everywhere",
    "reinstate",
    "delete",
    "delete:any",
    "administer:repository",
    "administer:members",
    "administer:keys",
    "administer:policy",
    "administer:rules",
    "administer:system",
  ],
};

/** What a role gives only where its binding names the namespace ("own namespace" in 6.2), and not by a binding to all. */
const OWN_NAMESPACE: Readonly<Record<Role, readonly Permission[]>> = {
  reader: [],
  publisher: ["pull:any"],
  scanner: [],
  reviewer: [],
  maintainer: [],
  owner: ["administer:members", "administer:keys"],
  auditor: [],
  operator: [],
};

/** What reaches beyond any namespace, so that a binding to one namespace cannot give it. */
const REGISTRY_WIDE: ReadonlySet<Permission> = new Set<Permission>([
  "revoke:everywhere",
  "audit",
  "audit:export",
  "administer:policy",
  "administer:rules",
  "administer:elevation",
  "administer:vault",
  "administer:system",
]);

/** What a role gives in a namespace that its binding names, or by a binding to all (`everywhere`). */
export function permissionsOf(role: Role, duties: DutyProfile, where: "namespace" | "everywhere"): readonly Permission[] {
  const all = duties === "strict" ? STANDING[role] : [...STANDING[role], ...ELEVATED[role]];
  const withheld: ReadonlySet<Permission> = where === "everywhere" ? new Set(OWN_NAMESPACE[role]) : REGISTRY_WIDE;
  return all.filter((permission) => !withheld.has(permission));
}

/** Does the role read untrusted content by digest only? A scanner is told digests; it may not follow a publisher's tag (6.2). */
export function readsUntrustedByDigestOnly(role: Role): boolean {
  return role === "scanner";
}

/** Does the role delete only what its holder pushed or mounted itself (6.2)? */
export function deletesOwnUploadsOnly(role: Role): boolean {
  return role === "publisher";
}

/** Roles that make sense only for all namespaces at once, since most of what they give reaches beyond any. */
export const REGISTRY_ROLES: ReadonlySet<Role> = new Set<Role>(["operator", "auditor"]);

/** Roles that make sense only in a namespace that is named, since part of what they give is bound to it. */
export const NAMESPACE_ROLES: ReadonlySet<Role> = new Set<Role>(["publisher", "maintainer", "owner"]);

/** What an owner may grant in its own namespace (RULES 17); all else is for operators. */
export const GRANTABLE_BY_OWNER: ReadonlySet<Role> = new Set<Role>(["reader", "publisher", "maintainer"]);
