import { type Html, html } from "./html.ts";
import { policyPath } from "./links.ts";
import { table } from "./table.ts";
import { foreign } from "./text.ts";

/** What is different between two versions of a policy, as `securectl policy diff` tells it. */
export interface Difference {
  readonly name: string;
  readonly before: { readonly version: number | null };
  readonly after: { readonly version: number | null };
  readonly effect: Effect;
  readonly changes: readonly { readonly path: string; readonly effect: Effect; readonly message: string }[];
}

type Effect = "tighter" | "looser" | "none" | "unknown";

const MAX_CHANGES = 30;

const TOGETHER: Readonly<Record<Effect, string>> = {
  tighter: "Together it is tighter: nothing meets it that did not before.",
  looser: "Together it is looser: whatever met it before meets it still.",
  none: "Together it asks for the same as before.",
  unknown: "Some may meet it that did not before, and some no longer: trying it tells which.",
};

/** The page of a difference. */
export function differencePage(difference: Difference, from: number): Html {
  const { name, before, after } = difference;
  return html`<h1>Policy ${foreign(name, 64)}: from version ${before.version} to ${after.version}</h1>
    ${differenceText(difference, from)}
    <p><a href="${policyPath(name)}">The policy</a></p>`;
}

/** What is different, from the change at `from` on. */
export function differenceText({ name, before, after, effect, changes }: Difference, from = 0, most = MAX_CHANGES): Html {
  if (changes.length === 0) return html`<p>Nothing that decisions depend on is different.</p>`;
  const shown = changes.slice(from, from + most);
  const next = from + shown.length;
  const isStored = before.version !== null && after.version !== null;
  return html`<p class="notice">${TOGETHER[effect]}</p>
    ${table({
      caption: changes.length > shown.length ? `Differences ${from + 1} to ${next} of ${changes.length}` : "What is different",
      columns: ["Place", "Effect", "What"],
      rows: shown.map(({ path, effect: one, message }) => [html`<code>${foreign(path, 120)}</code>`, one, foreign(message, 240)]),
      empty: "No more.",
    })}
    ${
      next < changes.length &&
      (isStored
        ? html`<p>
            <a rel="next" href="${policyPath(name, `/difference?from=${before.version}&to=${after.version}&at=${next}`)}"
              >More differences</a
            >
          </p>`
        : html`<p>${changes.length - next} more: <code>securectl policy diff</code> tells all.</p>`)
    }`;
}
