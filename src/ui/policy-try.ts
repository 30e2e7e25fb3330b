import { type Viewer, tokenField } from "./frame.ts";
import { type Html, html } from "./html.ts";
import { digestLink, shortDigest } from "./links.ts";
import { IN_FORCE_FIELD, TRIED_FIELD, documentArea } from "./policies.ts";
import { type Difference, differenceText } from "./policy-difference.ts";
import { table } from "./table.ts";
import { foreign } from "./text.ts";

/** An artifact for which the policy would change something. */
interface Replayed {
  readonly repository: string;
  readonly digest: string;
  readonly outcome: "would-fail" | "would-pass";
  readonly failed: readonly { readonly id: string; readonly message: string }[];
}

/** How many artifacts were looked at so far, and how many would change. */
export interface Tally {
  readonly trusted: number;
  readonly others: number;
  readonly stopped: number;
  readonly passed: number;
}

/** A policy that was tried. */
export interface Tried {
  readonly name: string;
  /** Of the document that was tried. */
  readonly digest: string;
  /** Of the version that is in force; null where there is none. */
  readonly inForce: string | null;
  readonly difference: Difference | undefined;
  /** Those of this page. */
  readonly artifacts: readonly Replayed[];
  readonly tally: Tally;
  /** Where the next page begins; null when all were looked at. */
  readonly next: string | null;
}

/** What a try came to: what it would change, or why the text is no policy. */
export interface Try {
  readonly text: string;
  readonly tried: Tried | undefined;
  readonly faults: readonly string[];
  readonly viewer: Viewer;
}

/** The fields that carry how far a try has come. */
export const TALLY_FIELDS = ["trusted", "others", "stopped", "passed"] as const;
export const CURSOR_FIELD = "cursor";
export const ACT_FIELD = "act";

const MAX_CHECKS = 2;
const MAX_CHANGES = 6;
const MAX_FAULTS = 20;

/** The page of a policy that was tried, with its text, to be changed, tried again, or put in force. */
export function tryPage({ text, tried, faults, viewer }: Try): Html {
  return html`<h1>${tried === undefined ? "This is no policy yet" : html`What the policy ${foreign(tried.name, 64)} would change`}</h1>
    ${faults.length > 0 && faultsText(faults)} ${tried !== undefined && triedText(tried)}
    <form class="act" method="post" action="/ui/policies/try">
      <h2>The policy</h2>
      ${tokenField(viewer)} ${documentArea(text)} ${tried !== undefined && groundFields(tried)}
      <p>
        <button name="${ACT_FIELD}" value="try">Try it</button>
        ${tried !== undefined && tried.next !== null && html`<button name="${ACT_FIELD}" value="further">Look further</button>`}
        ${tried !== undefined && html`<button class="grave" name="${ACT_FIELD}" value="save">Put it in force</button>`}
      </p>
      ${tried !== undefined && html`<p class="hint">What is put in force is the very document that was tried, unless another version came into force meanwhile.</p>`}
    </form>`;
}

function faultsText(faults: readonly string[]): Html {
  const more = faults.length - MAX_FAULTS;
  return html`<div class="notice bad" role="alert">
    <p>Nothing was tried, and nothing changed:</p>
    <ul>
      ${faults.slice(0, MAX_FAULTS).map((fault) => html`<li>${foreign(fault, 300)}</li>`)}
    </ul>
    ${more > 0 && html`<p>and ${more} more</p>`}
  </div>`;
}

function triedText({ inForce, difference, artifacts, tally, next }: Tried): Html {
  return html`<p class="notice ${tally.stopped > 0 ? "bad" : "good"}" role="status">${summary(tally, next === null)}</p>
    <p class="soft">Nothing that is trusted changes when it comes into force; it decides about the next promotions.</p>
    ${table({
      caption: next === null ? "What would change" : "What would change, of those that were looked at last",
      columns: ["Repository", "Digest", "What", "Why"],
      rows: artifacts.map(({ repository, digest, outcome, failed }) => [
        repository,
        digestLink({ repository, digest }, shortDigest(digest)),
        outcome === "would-fail"
          ? html`<span class="state bad"><span aria-hidden="true">✘</span> trusted, would be refused</span>`
          : html`<span class="state good"><span aria-hidden="true">✔</span> not trusted, would pass</span>`,
        html`${failed.slice(0, MAX_CHECKS).map(({ id, message }) => html`<div>${foreign(id, 130)}: ${foreign(message, 130)}</div>`)}`,
      ]),
      empty: "Nothing of those that were looked at last.",
    })}
    <h2>${inForce === null ? "There is no version in force" : "The difference to the version in force"}</h2>
    ${difference === undefined ? html`<p>It would be a policy beside the others.</p>` : differenceText(difference, 0, MAX_CHANGES)}`;
}

function summary({ trusted, others, stopped, passed }: Tally, isAll: boolean): string {
  const changes = `It would stop ${stopped} trusted ${stopped === 1 ? "artifact" : "artifacts"}, and let ${passed} others pass`;
  const looked = `of ${trusted} trusted and ${others} others that were looked at`;
  return `${changes}, ${looked}${isAll ? ": all of those that it decides about." : " so far: look further for more."}`;
}

function groundFields({ digest, inForce, tally, next }: Tried): Html {
  return html`<input type="hidden" name="${TRIED_FIELD}" value="${digest}" /><input
      type="hidden"
      name="${IN_FORCE_FIELD}"
      value="${inForce ?? "none"}"
    />${TALLY_FIELDS.map((name) => html`<input type="hidden" name="${name}" value="${tally[name]}" />`)}${
      next !== null && html`<input type="hidden" name="${CURSOR_FIELD}" value="${next}" />`
    }`;
}
