import type { State } from "../lifecycle/state.ts";
import { type Html, html } from "./html.ts";
import { shortDigest } from "./links.ts";
import { stateBadge } from "./state.ts";
import { table } from "./table.ts";
import { foreign, moment } from "./text.ts";

/** A transition; its time is RFC 3339. */
export interface Transition {
  readonly sequence: number;
  readonly state: State;
  readonly at: string;
  readonly actor: string;
  readonly reason: string | null;
  /** The referrer that holds the signed statement, once it is written. */
  readonly manifest: string | null;
}

/** The transitions of an artifact, newest first; `left` earlier ones are left out. */
export function timelineTab(transitions: readonly Transition[], left: number): Html {
  return html`<h2>Timeline</h2>
    ${table({
      caption: "Every change of its state, newest first",
      columns: ["Link", "State", "When", "By", "Why", "Signed statement"],
      rows: transitions.map(({ sequence, state, at, actor, reason, manifest }) => [
        sequence,
        stateBadge(state),
        moment(at),
        foreign(actor),
        reason === null ? "" : foreign(reason, 1024),
        manifest === null ? "with the next one" : html`<code>${shortDigest(manifest)}</code>`,
      ]),
      empty: "Nothing is recorded.",
    })}
    ${left > 0 && html`<p>${left} earlier ones: <code>securectl history</code> lists all.</p>`}`;
}
