import { type Html, html } from "./html.ts";
import { table } from "./table.ts";
import { foreign } from "./text.ts";

/** What the viewer may do on a repository, and by which roles. */
export interface Access {
  readonly name: string;
  readonly repository: string;
  readonly permissions: readonly string[];
  readonly roles: readonly { readonly role: string; readonly namespace: string; readonly applies: boolean }[];
}

/** What the viewer may do here and why. */
export function accessTab({ name, repository, permissions, roles }: Access): Html {
  return html`<h2>Access</h2>
    <p>As ${foreign(name)} you may do here: ${permissions.length === 0 ? "nothing" : permissions.join(", ")}.</p>
    ${table({
      caption: `Your roles, and whether they hold in ${repository}`,
      columns: ["Role", "Where", "Holds here"],
      rows: roles.map(({ role, namespace, applies }) => [role, namespace === "*" ? "everywhere" : namespace, applies ? "yes" : "no"]),
      empty: html`You have no role. An operator gives one with <code>securectl key create NAME --role ROLE --namespace NAMESPACE</code>.`,
    })}`;
}
