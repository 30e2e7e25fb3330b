import { STATES, type State } from "../lifecycle/state.ts";
import { type Html, html } from "./html.ts";
import { keysHint } from "./keys.ts";
import { type ShownDay, historyText } from "./state-history.ts";
import { identityPath } from "./links.ts";
import { meaningOf, stateBadge } from "./state.ts";
import { table } from "./table.ts";
import { durationText, moment, sizeText } from "./text.ts";

/** What the start page tells. */
export interface Overview {
  readonly states: Readonly<Record<State, number>>;
  /** Oldest first. */
  readonly history: readonly ShownDay[];
  /** Counted up to a bound. */
  readonly damaged: { readonly count: number; readonly isComplete: boolean };
  /** What waits for a decision and the viewer may see; ages are in milliseconds. */
  readonly waiting: { readonly count: number; readonly isComplete: boolean; readonly oldest: number | undefined; readonly refused: number };
  /** Bytes that uploads may still fill; undefined for who does not run the registry. */
  readonly room: number | undefined;
  /** The viewer's keys that end within two weeks. */
  readonly expiring: readonly { readonly identity: string; readonly id: string; readonly expiresAt: string }[];
}

const MAX_EXPIRING = 20;

/** The start page. */
export function startPage({ states, history, damaged, waiting, room, expiring }: Overview): Html {
  const total = Object.values(states).reduce((sum, count) => sum + count, 0);
  return html`<h1>What is here</h1>
    <div id="overview" data-region>
      ${total === 0 && nothingYet}
      <section aria-labelledby="states">
        <h2 id="states">Artifacts by state</h2>
        <ul class="cards">
          ${STATES.map((state) => html`<li><strong>${states[state]}</strong>${stateBadge(state)}<br /><span class="soft">${meaningOf(state)}</span></li>`)}
        </ul>
      </section>
      <section aria-labelledby="history">
        <h2 id="history">The last ${history.length} days</h2>
        ${historyText(history)}
      </section>
      <section aria-labelledby="waiting">
        <h2 id="waiting">Waiting for a decision</h2>
        ${waitingText(waiting)}
      </section>
      <section aria-labelledby="health">
        <h2 id="health">Health</h2>
        <ul class="cards">
          <li><strong>${damaged.count}${!damaged.isComplete && "+"}</strong>${damagedText(damaged.count)}</li>
          ${room !== undefined && html`<li><strong>${sizeText(Math.max(0, room))}</strong>${room > 0 ? "of disk left for uploads" : "of disk left: uploads are refused; make room or move the data directory"}</li>`}
        </ul>
      </section>
      <section aria-labelledby="expiring">
        <h2 id="expiring">Your keys that end soon</h2>
        ${expiringTable(expiring)}
      </section>
    </div>
    ${keysHint("u leads to the queue")}`;
}

const nothingYet = html`<p class="notice">
  Nothing was pushed yet. A publisher begins with <code>securectl push FILE models/NAME:TAG</code>, or with any OCI client.
</p>`;

function waitingText({ count, isComplete, oldest, refused }: Overview["waiting"]): Html {
  if (count === 0) return html`<p>Nothing that you may see waits.</p>`;
  const plus = isComplete ? "" : "+";
  return html`<ul class="cards">
      <li><strong>${count}${plus}</strong><a href="/ui/review">in the review queue</a></li>
      ${oldest !== undefined && html`<li><strong>${durationText(oldest)}</strong>is how long the first of them waits</li>`}
      <li>
        <strong>${refused}</strong>${isComplete ? "of them were" : "of the first forty were"} refused by the policy when somebody tried
      </li>
    </ul>
    ${!isComplete && html`<p class="soft">They are counted up to a thousand, parts of others among them.</p>`}`;
}

function damagedText(count: number): Html {
  if (count === 0) return html`<span>blobs are damaged, as far as they were checked</span>`;
  return html`<span class="state bad"><span aria-hidden="true">✘</span> damaged blobs: push them again</span>`;
}

function expiringTable(expiring: Overview["expiring"]): Html {
  const more = expiring.length - MAX_EXPIRING;
  return html`${table({
    caption: "Rotate them on the page of the identity, or with securectl key rotate ID",
    columns: ["Identity", "Key", "Ends"],
    rows: expiring
      .slice(0, MAX_EXPIRING)
      .map(({ identity, id, expiresAt }) => [
        html`<a href="${identityPath(identity)}">${identity}</a>`,
        html`<code>${id}</code>`,
        moment(expiresAt),
      ]),
    empty: "None ends within two weeks.",
  })}
  ${more > 0 && html`<p>and ${more} more: <a href="/ui/identities">Identities</a> and <code>securectl key list</code> show them.</p>`}`;
}
