import type { State } from "../lifecycle/state.ts";
import { type Html, html } from "./html.ts";
import { type ArtifactName, artifactPath, shortDigest } from "./links.ts";
import { stateBadge } from "./state.ts";
import { fittingRows, table } from "./table.ts";
import { foreign, moment } from "./text.ts";

/** A transition; its time is RFC 3339. */
interface Transition {
  readonly sequence: number;
  readonly state: State;
  readonly at: string;
  readonly actor: string;
  readonly reason: string | null;
  /** The referrer that holds the signed statement, once it is written. */
  readonly manifest: string | null;
}

const COLUMNS = ["Link", "State", "When", "By", "Why", "Signed statement"];
/** Bytes of the tab besides its rows. */
const ROUND_TABLE = 2_000;

/** A part of a history, newest first; `total` counts those besides, too, that are older. */
interface Timeline {
  readonly newest: readonly Transition[];
  readonly total: number;
}

/** More transitions than a page has room for: nobody need look at more of them to make one. */
export const MOST_TRANSITIONS = 100;

/** The transitions of an artifact, newest first, as far as there is room (bytes) for them. */
export function timelineTab(artifact: ArtifactName, { newest, total }: Timeline, room: number): Html {
  const rows = newest.slice(0, MOST_TRANSITIONS).map(row);
  const { count } = fittingRows(COLUMNS, rows, room - ROUND_TABLE);
  const left = total - count;
  return html`<h2>Timeline</h2>
    ${table({
      caption: "Every change of its state, newest first",
      columns: COLUMNS,
      rows: rows.slice(0, count),
      empty: html`There is none before. <a href="${artifactPath(artifact, "timeline")}">Begin with the newest</a>.`,
    })}
    ${
      left > 0 &&
      html`<p>
        <a rel="next" href="${artifactPath(artifact, `timeline?before=${newest[count - 1]?.sequence ?? 0}`)}">Earlier ones</a>: ${left}
      </p>`
    }`;
}

function row({ sequence, state, at, actor, reason, manifest }: Transition): readonly (string | number | Html)[] {
  return [
    sequence,
    stateBadge(state),
    moment(at),
    foreign(actor),
    reason === null ? "" : foreign(reason, 1024),
    manifest === null ? "with the next one" : html`<code class="digest">${shortDigest(manifest)}</code>`,
  ];
}
