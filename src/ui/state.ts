import type { State } from "../lifecycle/state.ts";
import { type Html, html } from "./html.ts";

interface Look {
  readonly icon: string;
  readonly tone: "good" | "wait" | "bad";
  /** What it means for who runs models. */
  readonly meaning: string;
}

const LOOKS: Readonly<Record<State, Look>> = {
  acquired: { icon: "○", tone: "wait", meaning: "pushed, and served to no runtime until it is promoted" },
  quarantined: { icon: "◐", tone: "wait", meaning: "held back, and served to no runtime until it is promoted" },
  trusted: { icon: "✔", tone: "good", meaning: "promoted, and served to runtimes" },
  revoked: { icon: "✘", tone: "bad", meaning: "taken back: runtimes are refused, with the reason" },
  deleted: { icon: "−", tone: "bad", meaning: "gone, but for its history" },
};

/** A state by icon and word; the colour only repeats it. */
export function stateBadge(state: State): Html {
  const { icon, tone } = LOOKS[state];
  return html`<span class="state ${tone}"><span aria-hidden="true">${icon}</span> ${state}</span>`;
}

/** What a state means, in a sentence's part. */
export function meaningOf(state: State): string {
  return LOOKS[state].meaning;
}
