import { type Html, html } from "./html.ts";
import { type ArtifactName, digestLink, shortDigest } from "./links.ts";
import { remedyOf } from "./remedy.ts";
import { andMore, bytesOf } from "./room.ts";
import { fittingRows, table } from "./table.ts";
import { foreign, moment } from "./text.ts";

interface Check {
  readonly id: string;
  readonly status: "pass" | "warn" | "fail";
  readonly message: string;
  readonly inputs: readonly string[];
}

interface Requirement {
  readonly name: string;
  readonly kind: string;
  readonly met: boolean;
  readonly message: string;
  readonly accepted: readonly { readonly authority: string; readonly manifest: string; readonly signed_at: string | null }[];
  readonly rejected: readonly { readonly manifest: string; readonly message: string }[];
  readonly rejected_more: number;
}

/** A promotion's decision, as far as it is shown. */
export interface ShownDecision {
  readonly allowed: boolean;
  readonly policy: string;
  readonly digest: string;
  readonly checks: readonly Check[];
  readonly covers: readonly string[];
  readonly tags: { readonly moves: readonly string[]; readonly stays: readonly string[] };
  readonly policies: readonly {
    readonly name: string;
    readonly version: number;
    readonly mode: string;
    readonly requirements: readonly Requirement[];
  }[];
}

/** Where a decision is shown. */
interface Place {
  readonly artifact: ArtifactName;
  /** host:port, as clients write it. */
  readonly host: string;
  /** Bytes that the page has for it. */
  readonly room: number;
}

const MAX_SHOWN = 5;
const MAX_MESSAGE = 700;
const MAX_TAGS = 20;
const CHECK_COLUMNS = ["Check", "Result", "Why", "Rests on"];
const REQUIREMENT_COLUMNS = ["Requirement", "Result", "Why", "Counts", "Does not count"];
/** Bytes of a table besides its rows, with its heading. */
const ROUND_TABLE = 1_500;

/** What a promotion decides and why: what is missing before what is met. What a page has no room for is counted. */
export function decisionText(decision: ShownDecision | undefined, { artifact, host, room }: Place): Html {
  if (decision === undefined) return html`<p>No decision is recorded, or none that you may see.</p>`;
  const verdict = verdictText(decision);
  const checks = missingFirst(decision.checks, ({ status }) => status === "pass").map(checkRow);
  let { count, left } = fittingRows(CHECK_COLUMNS, checks, room - bytesOf(verdict) - 2 * ROUND_TABLE);
  let hidden = checks.length - count;
  const policies = decision.policies.map(({ name, version, mode, requirements }) => {
    const rows = missingFirst(requirements, ({ met }) => met).map((requirement) => requirementRow({ artifact, host }, requirement));
    const fitting = fittingRows(REQUIREMENT_COLUMNS, rows, left - ROUND_TABLE);
    hidden += rows.length - fitting.count;
    if (fitting.count === 0 && rows.length > 0) return false;
    left = fitting.left;
    return html`<h3>Policy ${foreign(name)}, version ${version}${mode === "warn" && " (warns only)"}</h3>
      ${table({
        caption: "What it asks for",
        columns: REQUIREMENT_COLUMNS,
        rows: rows.slice(0, fitting.count),
        empty: "It asks for nothing.",
      })}`;
  });
  return html`${verdict} ${table({ caption: "Checks", columns: CHECK_COLUMNS, rows: checks.slice(0, count), empty: "No check." })}
  ${policies} ${andMore(hidden, html`<code>securectl policy explain</code> tells all checks and requirements`)}`;
}

function missingFirst<T>(all: readonly T[], isMet: (one: T) => boolean): readonly T[] {
  return all.toSorted((one, other) => Number(isMet(one)) - Number(isMet(other)));
}

function verdictText({ allowed, policy, checks, tags }: ShownDecision): Html {
  const failing = checks.filter(({ status }) => status === "fail").length;
  return html`<p class="notice ${allowed ? "good" : "bad"}">
    <strong>${allowed ? "✔ Allowed" : `✘ Refused: ${failing} ${failing === 1 ? "check fails" : "checks fail"}`}</strong> by
    ${foreign(policy)}. ${allowed && tags.moves.length > 0 && `Runtimes find it by ${firstOf(tags.moves)}.`}
    ${tags.stays.length > 0 && `These tags stay where they are promoted: ${firstOf(tags.stays)}.`}
  </p>`;
}

function firstOf(tags: readonly string[]): string {
  const more = tags.length - MAX_TAGS;
  return tags.slice(0, MAX_TAGS).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

const RESULTS = {
  pass: html`<span class="state good"><span aria-hidden="true">✔</span> passes</span>`,
  warn: html`<span class="state wait"><span aria-hidden="true">!</span> warns</span>`,
  fail: html`<span class="state bad"><span aria-hidden="true">✘</span> fails</span>`,
} as const;

function checkRow({ id, status, message, inputs }: Check): readonly (string | Html)[] {
  return [id, RESULTS[status], foreign(message, MAX_MESSAGE), digests(inputs)];
}

/** What is shown of a policy's requirement; evidence is named by the referrer that holds it. */
function requirementRow({ artifact, host }: Omit<Place, "room">, requirement: Requirement): readonly (string | Html)[] {
  const { repository } = artifact;
  const { name, kind, met, message, accepted, rejected, rejected_more: more } = requirement;
  const left = Math.max(0, rejected.length - MAX_SHOWN) + more;
  return [
    html`${foreign(name)} <span class="soft">${kind}</span>`,
    met ? RESULTS.pass : RESULTS.fail,
    html`${foreign(message, MAX_MESSAGE)}${!met && html`<br /><span class="soft">${remedyOf(kind, artifact, host)}</span>`}`,
    html`${accepted
      .slice(0, MAX_SHOWN)
      .map(
        ({ authority, manifest, signed_at: at }) =>
          html`<div>
            ${digestLink({ repository, digest: manifest }, shortDigest(manifest))} ${foreign(authority)} ${at !== null && moment(at)}
          </div>`,
      )}`,
    html`${rejected
      .slice(0, MAX_SHOWN)
      .map(
        ({ manifest, message: why }) =>
          html`<div>${digestLink({ repository, digest: manifest }, shortDigest(manifest))}: ${foreign(why)}</div>`,
      )}${left > 0 && `and ${left} more`}`,
  ];
}

function digests(all: readonly string[]): Html {
  const rest = all.length - MAX_SHOWN;
  return html`${all.slice(0, MAX_SHOWN).map((digest) => html`<div><code>${shortDigest(digest)}</code></div>`)}${rest > 0 && `and ${rest} more`}`;
}
