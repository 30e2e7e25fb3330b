import { type Viewer, tokenField } from "./frame.ts";
import { hindered } from "./hindrance.ts";
import { type Html, html } from "./html.ts";
import { identityPath } from "./links.ts";
import { table } from "./table.ts";
import { foreign, moment } from "./text.ts";

/** An identity in a list; its time is RFC 3339. */
export interface ListedIdentity {
  readonly name: string;
  readonly kind: string;
  readonly roles: readonly { readonly role: string; readonly namespace: string }[];
  readonly isDisabled: boolean;
  readonly createdBy: string;
  readonly createdAt: string;
}

/** What the viewer may grant; namespaces are all, or these. */
interface Grantable {
  readonly roles: readonly string[];
  readonly namespaces: "*" | readonly string[];
}

/** A page of identities. */
export interface IdentityList {
  readonly identities: readonly ListedIdentity[];
  /** The name after which the next page begins. */
  readonly next: string | undefined;
  readonly grantable: Grantable | undefined;
  readonly viewer: Viewer;
}

const MAX_ROLES = 3;
const MAX_OPTIONS = 20;

/** The page of identities. */
export function identitiesPage({ identities, next, grantable, viewer }: IdentityList): Html {
  return html`<h1>Identities</h1>
    ${table({
      caption: "Those that you administer, or audit, by name",
      columns: ["Name", "Roles", "Standing", "Made"],
      rows: identities.map(({ name, kind, roles, isDisabled, createdBy, createdAt }) => [
        html`<a href="${identityPath(name)}">${name}</a> <span class="soft">${kind}</span>`,
        rolesText(roles),
        standing(isDisabled),
        html`${moment(createdAt)} by ${foreign(createdBy, 64)}`,
      ]),
      empty:
        grantable === undefined
          ? html`None that is yours to administer or audit. <a href="${identityPath(viewer.name)}">Your own page</a> shows your roles and
              keys.`
          : "None. Make one below, together with its first key.",
    })}
    ${next !== undefined && html`<p><a rel="next" href="/ui/identities?after=${encodeURIComponent(next)}">Next page</a></p>`}
    ${
      grantable === undefined
        ? html`<h2>What you can do</h2>
            ${hindered({
              id: "make",
              title: "Make an identity with a key",
              why: "owners of a namespace grant roles in it, and operators everywhere; you are neither",
            })}`
        : makeForm(viewer, grantable)
    }`;
}

/** Is it in force? By icon and word. */
export function standing(isDisabled: boolean): Html {
  return isDisabled
    ? html`<span class="state bad"><span aria-hidden="true">✘</span> disabled</span>`
    : html`<span class="state good"><span aria-hidden="true">✔</span> in force</span>`;
}

function rolesText(roles: ListedIdentity["roles"]): Html {
  if (roles.length === 0) return html`<span>none</span>`;
  const more = roles.length - MAX_ROLES;
  return html`${roles.slice(0, MAX_ROLES).map(({ role, namespace }) => html`<div>${role} ${whereText(namespace)}</div>`)}${more > 0 && `and ${more} more`}`;
}

/** Where a role holds, in words. */
export function whereText(namespace: string): Html {
  return namespace === "*" ? html`<span>everywhere</span>` : html`<span>in ${foreign(namespace, 64)}</span>`;
}

function makeForm(viewer: Viewer, { roles, namespaces }: Grantable): Html {
  return html`<form class="act" method="post" action="/ui/keys">
    <h2>Make an identity with a key</h2>
    <p>A service identity has the one role that it is made with. The key is shown once, on the page that follows.</p>
    ${tokenField(viewer)}
    <label for="name">Name</label>
    <input id="name" name="name" required maxlength="64" autocapitalize="none" spellcheck="false" aria-describedby="name-hint" />
    <p class="hint" id="name-hint">Lower-case letters and digits, joined by single . _ or -.</p>
    <label for="role">Role</label>
    <select id="role" name="role">
      ${roles.map((role) => html`<option value="${role}">${role}</option>`)}
    </select>
    <label for="namespace">Namespace</label>
    ${
      namespaces !== "*" && namespaces.length <= MAX_OPTIONS
        ? html`<select id="namespace" name="namespace">
            ${namespaces.map((each) => html`<option value="${each}">${each}</option>`)}
          </select>`
        : html`<input
              id="namespace"
              name="namespace"
              required
              maxlength="64"
              autocapitalize="none"
              spellcheck="false"
              aria-describedby="namespace-hint"
            />
            <p class="hint" id="namespace-hint">* is everywhere, for operators, auditors and those who read, scan or review all.</p>`
    }
    ${daysField("days")}
    <p><button>Make the key</button></p>
  </form>`;
}

/** How long a key is in force. */
export function daysField(id: string): Html {
  return html`<label for="${id}">Days until it ends</label>
    <input id="${id}" name="days" type="number" min="1" max="90" value="30" required />`;
}

/** A key that was just made. */
export interface MadeKey {
  readonly name: string;
  readonly key: string;
  readonly id: string;
  /** RFC 3339; null: never. */
  readonly expiresAt: string | null;
  /** The one that it follows, which goes on for a while. */
  readonly follows: string | undefined;
}

/** The only page that ever holds a key. */
export function madeKeyPage({ name, key, id, expiresAt, follows }: MadeKey): Html {
  return html`<h1>A key for ${foreign(name, 64)}</h1>
    <p class="notice good" role="status">
      Keep it now: it is shown here and nowhere again, and the registry itself has no more than a hash of it.
    </p>
    <pre class="whole">${key}</pre>
    <p>
      Key <code>${id}</code>, ${expiresAt === null ? "which does not end" : html`until ${moment(expiresAt)}`}.
      ${follows !== undefined && html`It follows <code>${follows}</code>, which ends by itself.`}
    </p>
    <p><a href="${identityPath(name)}">Go on to ${foreign(name, 64)}</a></p>`;
}
