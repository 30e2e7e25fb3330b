import { SCRIPT_INTEGRITY, icon, script, styleSheet } from "./assets.ts";
import { type Html, html } from "./html.ts";
import { foreign, readable } from "./text.ts";

/** Who looks at a page, and the token that its forms carry. */
export interface Viewer {
  readonly name: string;
  readonly token: string;
  /** Who may read the audit is shown the way to what auditors and operators alone see. */
  readonly oversees?: boolean;
}

/** The places that the navigation names. */
const SECTIONS = [
  { path: "/ui/", name: "Start" },
  { path: "/ui/review", name: "Review queue" },
  { path: "/ui/explore", name: "Explore" },
  { path: "/ui/policies", name: "Policies" },
  { path: "/ui/identities", name: "Identities" },
  { path: "/ui/operations", name: "Operations", isForOverseers: true },
  { path: "/ui/audit", name: "Audit", isForOverseers: true },
  { path: "/ui/sessions", name: "Your sessions" },
] as const;
export type Section = (typeof SECTIONS)[number]["path"];

/** What stands around a page's own content. */
export interface Frame {
  readonly title: string;
  /** Undefined while nobody is signed in. */
  readonly viewer: Viewer | undefined;
  /** Has the operator given up on security (`INSECURE_DEV_MODE`)? Every page says so. */
  readonly isInsecure: boolean;
  readonly section: Section | undefined;
  /** Of a page that follows what it shows. */
  readonly live: Live | undefined;
  /** What lets our script run; undefined on pages that need none. */
  readonly nonce: string | undefined;
}

/** What a page follows. */
export interface Live {
  /** An artifact, by its reference, the queue of what waits, or the jobs. */
  readonly about: string;
  /** When the page was made, sealed: readers are not told how much happens. */
  readonly since: string;
}

/** The field that shows that a form is ours and of this session. */
export const TOKEN_FIELD = "_csrf";

/** The hidden field of every form that changes something. */
export function tokenField({ token }: Viewer): Html {
  return html`<input type="hidden" name="${TOKEN_FIELD}" value="${token}" />`;
}

/** Nothing is shown before the content is there to what follows it, so that no table moves while its rows come in. */
const RENDERED_WHOLE = html`<link rel="expect" href="#end" blocking="render" />`;

/** A whole page. */
export function framed({ title, viewer, isInsecure, section, live, nonce }: Frame, main: Html): Html {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${readable(title, 120)} · ai-model-registry</title>
        ${RENDERED_WHOLE}
        <link rel="stylesheet" href="${styleSheet.path}" />
        <link rel="icon" href="${icon.path}" type="image/svg+xml" />
        ${nonce !== undefined && html`<script src="${script.path}" integrity="${SCRIPT_INTEGRITY}" nonce="${nonce}" defer></script>`}
      </head>
      <body>
        <a class="skip" href="#main">Skip to the content</a>
        ${isInsecure && insecure}
        <header>${viewer === undefined ? html`<p class="brand">ai-model-registry</p>` : navigation(viewer, section)}</header>
        <main id="main" tabindex="-1" ${live && html`data-live="${live.about}" data-since="${live.since}"`}>${main}</main>
        ${nonce !== undefined && html`<p id="said" class="said" role="status" aria-live="polite"></p>`}
        <footer id="end"><p class="soft">Times are in UTC. Bytes are pulled by digest, never from these pages.</p></footer>
      </body>
    </html>`;
}

const insecure = html`<p class="danger" role="alert">
  INSECURE_DEV_MODE is on: programs of this machine may change models without a credential. Never use it for anything but development.
</p>`;

function navigation(viewer: Viewer, section: Section | undefined): Html {
  const shown = SECTIONS.filter((each) => viewer.oversees === true || !("isForOverseers" in each));
  const links = shown.map(
    ({ path, name }) =>
      html`<li>
        <a href="${path}" ${path === section && html`aria-current="page"`} ${path === "/ui/review" && html`data-key="u"`}>${name}</a>
      </li>`,
  );
  return html`<p class="brand">ai-model-registry</p>
    <nav aria-label="Main">
      <ul>
        ${links}
      </ul>
    </nav>
    <form method="post" action="/ui/sign-out">
      ${tokenField(viewer)}<span>Signed in as ${foreign(viewer.name)}</span> <button>Sign out</button>
    </form>`;
}
