import { type Viewer, tokenField } from "./frame.ts";
import { type Html, html } from "./html.ts";
import { foreign, moment } from "./text.ts";

/** One of the viewer's own sessions. Times are RFC 3339. */
export interface ShownSession {
  readonly id: string;
  readonly openedAt: string;
  readonly endsAt: string;
  readonly usedAt: string;
  /** The address that it was last used from, where that is known. */
  readonly usedFrom: string | undefined;
  /** Is it the one that looks at the page? */
  readonly isThis: boolean;
}

/** The page of the viewer's own sessions. There is always one: that which looks at it. */
export function sessionsPage(viewer: Viewer, sessions: readonly ShownSession[]): Html {
  return html`<h1>Your sessions</h1>
    <p>A session ends after half an hour without use, after twelve hours, and together with the API key that opened it.</p>
    <div class="wide" role="region" aria-label="Your sessions" tabindex="0">
      <table>
        <caption>
          Sessions of ${foreign(viewer.name)}
        </caption>
        <thead>
          <tr>
            <th scope="col">Opened</th>
            <th scope="col">Last used</th>
            <th scope="col">From</th>
            <th scope="col">Ends at the latest</th>
            <th scope="col">End it</th>
          </tr>
        </thead>
        <tbody>
          ${sessions.map((session) => row(viewer, session))}
        </tbody>
      </table>
    </div>
    <form method="post" action="/ui/sessions/end-all">
      ${tokenField(viewer)}<button class="grave">Sign out everywhere</button>
      <p class="hint">Ends all of them, this one as well.</p>
    </form>`;
}

function row(viewer: Viewer, { id, openedAt, endsAt, usedAt, usedFrom, isThis }: ShownSession): Html {
  return html`<tr>
    <th scope="row">${moment(openedAt)}${isThis && " (this one)"}</th>
    <td>${moment(usedAt)}</td>
    <td>${usedFrom === undefined ? "unknown" : foreign(usedFrom)}</td>
    <td>${moment(endsAt)}</td>
    <td>
      <form method="post" action="/ui/sessions/${encodeURIComponent(id)}/end">
        ${tokenField(viewer)}<button aria-label="End the session opened ${openedAt}">End</button>
      </form>
    </td>
  </tr>`;
}
