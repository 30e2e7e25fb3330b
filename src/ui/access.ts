import { type Html, html } from "./html.ts";
import { identityPath } from "./links.ts";
import { table } from "./table.ts";
import { foreign } from "./text.ts";

/** What the viewer may do on a repository, and by which roles. */
export interface Access {
  readonly name: string;
  readonly repository: string;
  readonly permissions: readonly string[];
  readonly roles: readonly { readonly role: string; readonly namespace: string; readonly applies: boolean }[];
}

const MAX_ROLES = 40;

/** What the viewer may do here and why; the roles that hold here come first. */
export function accessTab({ name, repository, permissions, roles }: Access): Html {
  const sorted = roles.toSorted((one, other) => Number(other.applies) - Number(one.applies));
  const more = sorted.length - MAX_ROLES;
  return html`<h2>Access</h2>
    <p>As ${foreign(name)} you may do here: ${permissions.length === 0 ? "nothing" : permissions.join(", ")}.</p>
    ${table({
      caption: `Your roles, and whether they hold in ${repository}`,
      columns: ["Role", "Where", "Holds here"],
      rows: sorted
        .slice(0, MAX_ROLES)
        .map(({ role, namespace, applies }) => [role, namespace === "*" ? "everywhere" : namespace, applies ? "yes" : "no"]),
      empty: html`You have no role. An operator gives one with <code>securectl key create NAME --role ROLE --namespace NAMESPACE</code>.`,
    })}
    ${more > 0 && html`<p>and ${more} more: <a href="${identityPath(name)}">your own page</a> lists all.</p>`}`;
}
