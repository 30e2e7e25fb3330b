import { type Viewer, tokenField } from "./frame.ts";
import { type Html, html } from "./html.ts";
import { table } from "./table.ts";
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
    ${table({
      caption: `Sessions of ${viewer.name}`,
      columns: ["Opened", "Last used", "From", "Ends at the latest", "End it"],
      rows: sessions.map((session) => row(viewer, session)),
      empty: "There is none.",
    })}
    <form method="post" action="/ui/sessions/end-all">
      ${tokenField(viewer)}<button class="grave">Sign out everywhere</button>
      <p class="hint">Ends all of them, this one as well.</p>
    </form>`;
}

function row(viewer: Viewer, { id, openedAt, endsAt, usedAt, usedFrom, isThis }: ShownSession): readonly (string | Html)[] {
  return [
    html`${moment(openedAt)}${isThis && " (this one)"}`,
    moment(usedAt),
    usedFrom === undefined ? "unknown" : foreign(usedFrom),
    moment(endsAt),
    html`<form method="post" action="/ui/sessions/${encodeURIComponent(id)}/end">
      ${tokenField(viewer)}<button aria-label="End the session opened ${openedAt}">End</button>
    </form>`,
  ];
}
