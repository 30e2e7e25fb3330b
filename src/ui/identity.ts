import { type Viewer, tokenField } from "./frame.ts";
import { hindered } from "./hindrance.ts";
import { type Html, html } from "./html.ts";
import { type ListedIdentity, daysField, standing, whereText } from "./identities.ts";
import { identityPath } from "./links.ts";
import { facts, table } from "./table.ts";
import { foreign, moment } from "./text.ts";
import { REASON_FIELD } from "./trust.ts";

/** A role that an identity has. */
export interface HeldRole {
  readonly role: string;
  readonly namespace: string;
  /** What it may do by it. */
  readonly permissions: readonly string[];
  readonly why: string;
}

/** A key; times are RFC 3339. */
export interface ShownKey {
  readonly id: string;
  readonly standing: "live" | "idle" | "revoked" | "expired";
  /** Does it end within two weeks? */
  readonly endsSoon: boolean;
  readonly createdBy: string;
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly usedAt: string | null;
  readonly usedFrom: string | undefined;
  /** What a change of it rests on. */
  readonly version: number;
}

/** Why the viewer may not do something; undefined where it may. */
export interface IdentityHindrances {
  readonly key: string | undefined;
  readonly disable: string | undefined;
  readonly namespace: string | undefined;
}

/** What the page of an identity shows. */
export interface ShownIdentity {
  readonly identity: Omit<ListedIdentity, "roles">;
  readonly countsAs: string;
  readonly roles: readonly HeldRole[];
  readonly rolesFrom: number;
  readonly rolesTotal: number;
  /** The newest; undefined where they are not the viewer's to see. */
  readonly keys: readonly ShownKey[] | undefined;
  readonly moreKeys: number;
  /** What another key rests on. */
  readonly version: number;
  readonly done: string | undefined;
  readonly hindrances: IdentityHindrances;
  readonly viewer: Viewer;
}

/** The field by which a form says what it rests on. */
export const VERSION_FIELD = "version";

const DONE: Readonly<Record<string, string>> = {
  revoke: "The key is revoked, with all that was opened with it.",
  disable: "It is disabled: its keys, tokens and sessions count no more.",
  enable: "It is enabled: its keys count again.",
  namespace: "The namespace is made, and it owns it.",
};

/** The page of an identity. */
export function identityPage(shown: ShownIdentity): Html {
  const { identity, countsAs, done, keys } = shown;
  const said = done !== undefined && Object.hasOwn(DONE, done) ? DONE[done] : undefined;
  return html`<h1>${foreign(identity.name, 64)}</h1>
    ${said !== undefined && html`<p class="notice good" role="status">${said}</p>`}
    ${facts([
      ["Standing", standing(identity.isDisabled)],
      ["Kind", identity.kind],
      ["Made", html`${moment(identity.createdAt)} by ${foreign(identity.createdBy, 64)}`],
      ["Counts as", html`${foreign(countsAs, 64)}, where two persons are asked for`],
    ])}
    <section aria-labelledby="roles">
      <h2 id="roles">Roles</h2>
      ${rolesTable(shown)}
    </section>
    <section aria-labelledby="keys">
      <h2 id="keys">Keys</h2>
      ${keys === undefined ? html`<p class="notice">Its keys are for who administers them: operators, who made it as an owner, and itself.</p>` : keysTable(shown, keys)}
    </section>
    <section aria-labelledby="acts">
      <h2 id="acts">What you can do</h2>
      ${keyForm(shown)} ${disableForm(shown)} ${namespaceForm(shown)}
    </section>`;
}

function rolesTable({ identity, roles, rolesFrom, rolesTotal }: ShownIdentity): Html {
  const next = rolesFrom + roles.length;
  return html`${table({
      caption: rolesTotal > roles.length ? `Roles ${rolesFrom + 1} to ${next} of ${rolesTotal}` : "What it may do, and why",
      columns: ["Role", "Where", "It may", "Why"],
      rows: roles.map(({ role, namespace, permissions, why }) => [role, whereText(namespace), permissions.join(", "), foreign(why, 200)]),
      empty: "It has no role, and may do nothing.",
    })}
    ${next < rolesTotal && html`<p><a rel="next" href="${identityPath(identity.name)}?roles=${next}">Next roles</a></p>`}
    <p class="soft">
      A service identity keeps the role that it was made with: another role is another identity. Whoever gets a namespace owns it.
    </p>`;
}

const STANDINGS = {
  live: html`<span class="state good"><span aria-hidden="true">✔</span> in force</span>`,
  idle: html`<span class="state bad"><span aria-hidden="true">✘</span> unused for too long</span>`,
  revoked: html`<span class="state bad"><span aria-hidden="true">✘</span> revoked</span>`,
  expired: html`<span class="state bad"><span aria-hidden="true">✘</span> expired</span>`,
} as const;

function keysTable(shown: ShownIdentity, keys: readonly ShownKey[]): Html {
  return html`${table({
    caption: "API keys, newest first",
    columns: ["Key", "Standing", "Ends", "Last used", "Made", "Change it"],
    rows: keys.map((key) => [
      html`<code>${key.id}</code>`,
      html`${STANDINGS[key.standing]}${key.standing === "live" && key.endsSoon && html`<br /><span class="state wait"><span aria-hidden="true">!</span> ends soon</span>`}`,
      key.expiresAt === null ? "never" : moment(key.expiresAt),
      usedText(key),
      html`${moment(key.createdAt)} by ${foreign(key.createdBy, 64)}`,
      key.standing === "live" ? keyActs(shown, key) : "",
    ]),
    empty: "It has no key. Make one below.",
  })}
  ${shown.moreKeys > 0 && html`<p>${shown.moreKeys} older ones, which have ended: the audit has all of them.</p>`}`;
}

function usedText({ standing: how, usedAt, usedFrom }: ShownKey): Html {
  if (usedAt !== null) return html`${moment(usedAt)}${usedFrom !== undefined && html` from ${foreign(usedFrom, 64)}`}`;
  return how === "live"
    ? html`<span class="state wait"><span aria-hidden="true">!</span> never used</span>`
    : html`<span>never used</span>`;
}

function keyActs({ viewer }: ShownIdentity, { id, version }: ShownKey): Html {
  const below = `/ui/keys/${encodeURIComponent(id)}`;
  const fields = html`${tokenField(viewer)}<input type="hidden" name="${VERSION_FIELD}" value="${version}" />`;
  return html`<form method="post" action="${below}/rotate">${fields}<button aria-label="Rotate the key ${id}">Rotate</button></form>
    <form method="post" action="${below}/revoke">${fields}<button class="grave" aria-label="Revoke the key ${id}">Revoke</button></form>`;
}

function keyForm({ identity, hindrances, version, roles: [role], viewer }: ShownIdentity): Html {
  if (hindrances.key !== undefined || role === undefined)
    return hindered({ id: "key", title: "Make another key", why: hindrances.key ?? "it has no role" });
  return html`<form class="act" method="post" action="/ui/keys">
    <h3>Make another key</h3>
    <p>It is shown once, on the page that follows. Rotating a key makes one for thirty days, and the old one goes on for a day.</p>
    ${tokenField(viewer)}
    <input type="hidden" name="${VERSION_FIELD}" value="${version}" />
    <input type="hidden" name="name" value="${identity.name}" />
    <input type="hidden" name="role" value="${role.role}" />
    <input type="hidden" name="namespace" value="${role.namespace}" />
    ${daysField("days")}
    <p><button>Make the key</button></p>
  </form>`;
}

function disableForm({ identity, hindrances, viewer }: ShownIdentity): Html {
  const { name, isDisabled } = identity;
  const title = isDisabled ? "Enable" : "Disable";
  if (hindrances.disable !== undefined) return hindered({ id: "disable", title, why: hindrances.disable });
  return html`<form class="act" method="post" action="${identityPath(name)}/${isDisabled ? "enable" : "disable"}">
    <h3>${title}</h3>
    <p>
      ${isDisabled ? "Its keys count again; sessions and tokens of before stay ended." : "Ends its keys, tokens and sessions at once, until it is enabled."}
    </p>
    ${tokenField(viewer)}
    <label for="reason">Reason (needed; the audit keeps it)</label>
    <textarea id="reason" name="${REASON_FIELD}" maxlength="1024" required></textarea>
    <p><button ${!isDisabled && html`class="grave"`}>${title}</button></p>
  </form>`;
}

function namespaceForm({ identity, hindrances, viewer }: ShownIdentity): Html {
  const title = "Make a namespace that it owns";
  if (hindrances.namespace !== undefined) return hindered({ id: "namespace", title, why: hindrances.namespace });
  return html`<form class="act" method="post" action="${identityPath(identity.name)}/namespaces">
    <h3>${title}</h3>
    <p>It pushes there then, and grants others roles there.</p>
    ${tokenField(viewer)}
    <label for="namespace">Name of the namespace</label>
    <input id="namespace" name="namespace" required maxlength="64" autocapitalize="none" spellcheck="false" />
    <p><button>Make it</button></p>
  </form>`;
}
