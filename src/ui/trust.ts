import { type Viewer, tokenField } from "./frame.ts";
import { type Html, html } from "./html.ts";
import { remedyOf } from "./remedy.ts";
import { type PromotionChoice, choiceForm, chosenFields } from "./promotion-choice.ts";
import { type ArtifactName, artifactPath, digestLink, shortDigest } from "./links.ts";
import { table } from "./table.ts";
import { foreign, moment, readable } from "./text.ts";

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
interface ShownDecision {
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

/** What may be done to an artifact. */
type Act = "quarantine" | "approve" | "withdraw" | "promote" | "revoke" | "delete";

/** What the tab shows. */
export interface Trust {
  readonly artifact: ArtifactName;
  /** What a promotion would decide now, or what the last one decided, where the viewer may not ask. */
  readonly decision: ShownDecision | undefined;
  readonly isOfNow: boolean;
  readonly approvals: readonly {
    readonly by: string;
    readonly at: string;
    readonly reason: string | null;
    readonly expires_at: string | null;
  }[];
  /** What the viewer chose of a promotion; undefined for who may not ask what one would decide. */
  readonly choice: PromotionChoice | undefined;
  /** host:port, as clients write it. */
  readonly host: string;
  /** Why the viewer may not do something; undefined where it may. */
  readonly hindrances: Readonly<Record<Act, string | undefined>>;
  /** What a form rests on. */
  readonly ground: string;
  readonly viewer: Viewer;
}

/** The fields of the forms of this tab. */
export const GROUND_FIELD = "ground";
export const EXPECTED_FIELD = "expected";
export const REASON_FIELD = "reason";

/** The keys that lead to the forms. */
const KEYS: Readonly<Record<Act, string>> = { approve: "a", withdraw: "w", promote: "p", quarantine: "q", revoke: "r", delete: "d" };

const MAX_SHOWN = 5;
const MAX_MESSAGE = 700;

/** Why an artifact is trusted, or what is missing, and what the viewer can do about it. */
export function trustTab(trust: Trust): Html {
  return html`<section aria-labelledby="decision">
      <h2 id="decision">${trust.isOfNow ? "What a promotion would decide now" : "What the last promotion decided"}</h2>
      ${decisionText(trust)}
      ${trust.choice !== undefined && trust.decision !== undefined && choiceForm(trust.artifact, trust.choice, trust.decision)}
    </section>
    <section aria-labelledby="approvals">
      <h2 id="approvals">Approvals</h2>
      ${approvalsText(trust)}
    </section>
    <section aria-labelledby="acts">
      <h2 id="acts">What you can do</h2>
      <div class="acts">${ACTS.map((act) => actForm(trust, act))}</div>
    </section>`;
}

function decisionText({ decision, artifact, host }: Trust): Html {
  if (decision === undefined) return html`<p>No decision is recorded, or none that you may see.</p>`;
  const { allowed, policy, checks, tags, policies } = decision;
  const failing = checks.filter(({ status }) => status === "fail").length;
  return html`<p class="notice ${allowed ? "good" : "bad"}">
      ${allowed ? "✔ Allowed" : `✘ Refused: ${failing} ${failing === 1 ? "check fails" : "checks fail"}`} by <bdi>${readable(policy)}</bdi>.
      ${allowed && tags.moves.length > 0 && `Runtimes find it by ${tags.moves.slice(0, 20).join(", ")}.`}
      ${tags.stays.length > 0 && `These tags stay where they are promoted: ${tags.stays.slice(0, 20).join(", ")}.`}
    </p>
    ${table({ caption: "Checks", columns: ["Check", "Result", "Why", "Rests on"], rows: checks.map(checkRow), empty: "No check." })}
    ${policies.map(
      ({ name, version, mode, requirements }) =>
        html`<h3>Policy ${foreign(name)}, version ${version}${mode === "warn" && " (warns only)"}</h3>
          ${table({
            caption: "What it asks for",
            columns: ["Requirement", "Result", "Why", "Counts", "Does not count"],
            rows: requirements.map((requirement) => requirementRow({ artifact, host }, requirement)),
            empty: "It asks for nothing.",
          })}`,
    )}`;
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
function requirementRow({ artifact, host }: Pick<Trust, "artifact" | "host">, requirement: Requirement): readonly (string | Html)[] {
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

function approvalsText({ approvals }: Trust): Html {
  return table({
    caption: "Approvals that count for the next promotion",
    columns: ["By", "When", "Until", "Why"],
    rows: approvals.map(({ by, at, reason, expires_at: until }) => [
      foreign(by),
      moment(at),
      until === null ? "it is withdrawn" : moment(until),
      reason === null ? "" : foreign(reason, 1024),
    ]),
    empty: "Nobody has approved it. A reviewer who did not push it approves it below.",
  });
}

interface Described {
  readonly act: Act;
  readonly title: string;
  readonly says: string;
  readonly needsReason: boolean;
  readonly weight: "main" | "plain" | "grave";
}

const ACTS: readonly Described[] = [
  { act: "approve", title: "Approve", says: "Your word, signed, that it may be trusted.", needsReason: false, weight: "main" },
  { act: "withdraw", title: "Withdraw your approval", says: "Signed as well; it counts no more.", needsReason: true, weight: "plain" },
  { act: "promote", title: "Promote", says: "Makes it trusted: runtimes get it from then on.", needsReason: false, weight: "main" },
  { act: "quarantine", title: "Quarantine", says: "Holds it back, with a word to its publishers.", needsReason: false, weight: "plain" },
  {
    act: "revoke",
    title: "Revoke",
    says: "Takes it away from every runtime at once, downloads under way included.",
    needsReason: true,
    weight: "grave",
  },
  { act: "delete", title: "Delete", says: "Its content goes, its history stays.", needsReason: true, weight: "grave" },
];

/** A form that cannot be sent says why; the server decides in any case. */
function actForm(
  { artifact, hindrances, ground, viewer, decision, choice }: Trust,
  { act, title, says, needsReason, weight }: Described,
): Html {
  const hindrance = hindrances[act];
  if (hindrance !== undefined) {
    return html`<div class="act">
      <h3>${title}</h3>
      <p>${says}</p>
      <button type="button" disabled aria-describedby="why-${act}">${title}</button>
      <p class="hint" id="why-${act}">Not now: ${foreign(hindrance, MAX_MESSAGE)}.</p>
    </div>`;
  }
  return html`<form class="act" method="post" action="${artifactPath(artifact, act)}">
    <h3>${title}</h3>
    <p>${says}</p>
    ${tokenField(viewer)}
    <input type="hidden" name="${GROUND_FIELD}" value="${ground}" />
    ${act === "promote" && decision !== undefined && html`<input type="hidden" name="${EXPECTED_FIELD}" value="${decision.digest}" />`}
    ${act === "promote" && choice !== undefined && chosenFields(choice)}
    <label for="reason-${act}">Reason ${needsReason ? "(needed; everybody who may see the artifact reads it)" : "(may be left out)"}</label>
    <textarea
      id="reason-${act}"
      data-key="${KEYS[act]}"
      name="${REASON_FIELD}"
      maxlength="1024"
      ${needsReason && html`required`}
    ></textarea>
    ${act === "revoke" && html`<label class="beside" for="permanent"><input id="permanent" type="checkbox" name="permanent" value="yes" /> for ever: nothing makes it trusted again</label>`}
    <p><button class="${weight}">${title}</button></p>
  </form>`;
}
