import { type Viewer, tokenField } from "./frame.ts";
import { hindered } from "./hindrance.ts";
import { type Html, html } from "./html.ts";
import { shortDigest } from "./links.ts";
import { table } from "./table.ts";
import { foreign, moment } from "./text.ts";
import { REASON_FIELD } from "./trust.ts";

/** A trust root that policies may name. Times are RFC 3339. */
export interface ListedRoot {
  readonly name: string;
  readonly digest: string;
  readonly by: string;
  /** Null: it comes with the registry, and stays. */
  readonly at: string | null;
  /** When the metadata expire by which it was updated; undefined for one that is not updated. */
  readonly expiresAt: string | undefined;
}

/** A publisher who is believed no more; times are RFC 3339. */
export interface ListedAuthority {
  readonly statement: string;
  readonly type: string;
  /** Who it is. */
  readonly words: string;
  readonly from: string | null;
  readonly reason: string;
  readonly by: string;
  readonly at: string;
  readonly followed: { readonly revoked: number; readonly quarantined: number; readonly kept: number } | null;
}

/** A page of both; `next` is where the next one begins. */
export interface TrustPage {
  readonly roots: readonly ListedRoot[];
  readonly nextRoots: number | undefined;
  readonly authorities: readonly ListedAuthority[];
  readonly nextAuthorities: number | undefined;
  readonly done: string | undefined;
  readonly hindrance: string | undefined;
  readonly viewer: Viewer;
}

const DONE: Readonly<Record<string, string>> = {
  ended: "Policies may name it no more; its document stays.",
  revoked: "Nothing counts any more that it signed. What rested on it is looked at now.",
  lifted: "What it signs counts again. What was revoked because of it stays so.",
};

/** The page of trust roots and revoked publishers. */
export function trustPage(page: TrustPage): Html {
  const { done, nextRoots, nextAuthorities } = page;
  const said = done !== undefined && Object.hasOwn(DONE, done) ? DONE[done] : undefined;
  return html`<h1>Trust roots and revoked publishers</h1>
    ${said !== undefined && html`<p class="notice good" role="status">${said}</p>`}
    <section aria-labelledby="roots">
      <h2 id="roots">Trust roots</h2>
      ${rootsTable(page)} ${nextRoots !== undefined && html`<p><a rel="next" href="/ui/trust?roots=${nextRoots}">More trust roots</a></p>`}
      <p class="soft">
        One is added with <code>securectl trust add NAME FILE</code>, and updated with <code>securectl trust update NAME</code>.
      </p>
    </section>
    <section aria-labelledby="revoked">
      <h2 id="revoked">Revoked publishers</h2>
      ${authoritiesTable(page)}
      ${nextAuthorities !== undefined && html`<p><a rel="next" href="/ui/trust?revoked=${nextAuthorities}">More revoked publishers</a></p>`}
    </section>
    ${revokeForm(page)}`;
}

function rootsTable({ roots, hindrance, viewer }: TrustPage): Html {
  return table({
    caption: "Sigstore trusted roots that policies may name",
    columns: ["Name", "Digest", "Added", "Updated by TUF", "End it"],
    rows: roots.map(({ name, digest, by, at, expiresAt }) => [
      name,
      html`<code>${shortDigest(digest)}</code>`,
      at === null ? "comes with the registry" : html`${moment(at)} by ${foreign(by, 64)}`,
      expiresAt === undefined ? "no" : html`metadata until ${moment(expiresAt)}`,
      at === null || hindrance !== undefined
        ? ""
        : html`<form method="post" action="/ui/trust/roots/end">
            ${tokenField(viewer)}<input type="hidden" name="name" value="${name}" /><input
              type="hidden"
              name="digest"
              value="${digest}"
            /><button class="grave" aria-label="End the trust root ${name} ${shortDigest(digest)}">End</button>
          </form>`,
    ]),
    empty: "No more.",
  });
}

function authoritiesTable({ authorities, hindrance, viewer }: TrustPage): Html {
  return table({
    caption: "Publishers who are believed no more",
    columns: ["Who", "From", "Why", "Revoked", "What became of what it had signed", "Lift it"],
    rows: authorities.map(({ statement, type, words, from, reason, by, at, followed }) => [
      html`${type}: ${foreign(words, 220)}`,
      from === null ? "ever" : moment(from),
      foreign(reason, 200),
      html`${moment(at)} by ${foreign(by, 64)}`,
      followed === null
        ? "it is being looked at"
        : `${followed.revoked} revoked, ${followed.quarantined} quarantined, ${followed.kept} rest on others, too`,
      hindrance !== undefined
        ? ""
        : html`<form method="post" action="/ui/trust/lift">
            ${tokenField(viewer)}<input type="hidden" name="statement" value="${statement}" /><input
              name="${REASON_FIELD}"
              maxlength="1024"
              required
              aria-label="Reason to lift ${shortDigest(statement)}"
            /><button aria-label="Lift ${shortDigest(statement)}">Lift</button>
          </form>`,
    ]),
    empty: "Nobody is. Who loses a key, or a job that signs, is revoked here or with securectl trust revoke-authority.",
  });
}

function revokeForm({ hindrance, viewer }: TrustPage): Html {
  const title = "Revoke a publisher";
  if (hindrance !== undefined) return hindered({ id: "revoke", title: "End, lift or revoke", why: hindrance });
  return html`<form class="act" method="post" action="/ui/trust/revoke">
    <h2>${title}</h2>
    <p>
      Its evidence counts in no decision any more. What is trusted by it and does not pass without it is revoked, what is not trusted yet is
      quarantined.
    </p>
    ${tokenField(viewer)}
    <label for="type">Who</label>
    <select id="type" name="type">
      <option value="key">the holder of a key</option>
      <option value="identity">identities of an issuer</option>
      <option value="certificate">holders of certificates below a pinned one</option>
    </select>
    <label for="digest">Fingerprint of the key, or of the pinned certificate</label>
    <input id="digest" name="digest" maxlength="71" spellcheck="false" autocapitalize="none" aria-describedby="digest-hint" />
    <p class="hint" id="digest-hint">
      sha256: and 64 hexadecimal digits; not of identities. Of certificates left out, it is whichever is pinned.
    </p>
    <label for="issuer">Issuer, of identities</label>
    <input id="issuer" name="issuer" maxlength="1024" spellcheck="false" autocapitalize="none" />
    <label for="subject">Subject, of identities and certificates</label>
    <input id="subject" name="subject" maxlength="1024" spellcheck="false" autocapitalize="none" aria-describedby="subject-hint" />
    <p class="hint" id="subject-hint">The whole of it, or a pattern with * and **.</p>
    <label for="from">From which time on (UTC, such as 2026-05-01T12:00:00Z)</label>
    <input id="from" name="from" maxlength="32" aria-describedby="from-hint" />
    <p class="hint" id="from-hint">
      Left out, nothing counts that it ever signed; else what a trusted time shows to be from before counts.
    </p>
    <label for="reason">Reason (needed; it is part of the signed statement)</label>
    <textarea id="reason" name="${REASON_FIELD}" maxlength="1024" required></textarea>
    <p><button class="grave">${title}</button></p>
  </form>`;
}
