import { STATES, type State } from "../lifecycle/state.ts";
import { type Html, html } from "./html.ts";
import { table } from "./table.ts";

/** How many artifacts were in each state at the end of a day; the day is RFC 3339's full-date. */
export interface ShownDay {
  readonly day: string;
  readonly counts: Readonly<Record<State, number>>;
}

/** In pixels of the picture, which is drawn as wide as its page. */
const BAR_WIDTH = 16;
const GAP = 4;
const HEIGHT = 120;

/** A part of a day's bar, in pixels. */
export interface BarPart {
  readonly state: State;
  readonly x: number;
  readonly y: number;
  readonly height: number;
}

/** The bars of a history: a bar a day, in which the states stand on each other; the highest is as high as the picture. */
export function barsOf(days: readonly ShownDay[], height: number): readonly BarPart[] {
  const totals = days.map(({ counts }) => STATES.reduce((sum, state) => sum + Math.max(0, counts[state]), 0));
  const scale = height / Math.max(1, ...totals);
  return days.flatMap(({ counts }, at) => {
    let top = height;
    return STATES.map((state) => {
      const part = Math.max(0, counts[state]) * scale;
      top -= part;
      return { state, x: at * (BAR_WIDTH + GAP), y: round(top), height: round(part) };
    }).filter((part) => part.height > 0);
  });
}

/** To a tenth of a pixel. */
function round(pixels: number): number {
  return Math.round(pixels * 10) / 10;
}

/** A small history of states: a picture, and the same as a table. */
export function historyText(days: readonly ShownDay[]): Html {
  const width = days.length * (BAR_WIDTH + GAP);
  return html`<svg
      class="history"
      role="img"
      aria-label="Artifacts by state over the last ${days.length} days; the table below says the same"
      viewBox="0 0 ${width} ${HEIGHT}"
      preserveAspectRatio="none"
    >
      ${days.map((_, at) => html`<rect class="day" x="${at * (BAR_WIDTH + GAP)}" y="0" width="${BAR_WIDTH}" height="${HEIGHT}" />`)}
      ${barsOf(days, HEIGHT).map(({ state, x, y, height }) => html`<rect class="${state}" x="${x}" y="${y}" width="${BAR_WIDTH}" height="${height}" />`)}
    </svg>
    <p class="ends soft"><span>${days[0]?.day}</span> <span>${days.at(-1)?.day}</span></p>
    <p class="soft">
      From below: ${STATES.map((state, at) => html`${at > 0 && ", "}<span class="key ${state}" aria-hidden="true">■</span> ${state}`)}. What
      is attached to artifacts counts, too.
    </p>
    <details>
      <summary>The same as a table</summary>
      ${table({
        caption: "Artifacts by state at the end of each day (UTC), newest first",
        columns: ["Day", ...STATES],
        rows: days.toReversed().map(({ day, counts }) => [day, ...STATES.map((state) => counts[state])]),
        empty: "No day is over yet.",
        scrolls: true,
      })}
    </details>`;
}
