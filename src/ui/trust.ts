import { type Viewer, tokenField } from "./frame.ts";
import { type Html, html } from "./html.ts";
import { type PromotionChoice, choiceForm, chosenFields } from "./promotion-choice.ts";
import { type ShownDecision, decisionText } from "./decision.ts";
import { type ArtifactName, artifactPath } from "./links.ts";
import { andMore, bytesOf } from "./room.ts";
import { fittingRows, table } from "./table.ts";
import { foreign, moment } from "./text.ts";

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
  /** Bytes that the page has for it. */
  readonly room: number;
}

/** The fields of the forms of this tab. */
export const GROUND_FIELD = "ground";
export const EXPECTED_FIELD = "expected";
export const REASON_FIELD = "reason";

/** The keys that lead to the forms. */
const KEYS: Readonly<Record<Act, string>> = { approve: "a", withdraw: "w", promote: "p", quarantine: "q", revoke: "r", delete: "d" };

const APPROVAL_COLUMNS = ["By", "When", "Until", "Why"];
/** Bytes of the tab besides what is made of many. */
const ROUND_PARTS = 3_000;
const MAX_MESSAGE = 700;

/** Why an artifact is trusted, or what is missing, and what the viewer can do about it. */
export function trustTab(trust: Trust): Html {
  const { artifact, host, decision } = trust;
  const acts = html`<div class="acts">${ACTS.map((act) => actForm(trust, act))}</div>`;
  const choice = trust.choice !== undefined && decision !== undefined ? choiceForm(artifact, trust.choice, decision) : html``;
  const room = trust.room - ROUND_PARTS - bytesOf(acts) - bytesOf(choice);
  const approvals = approvalsText(trust, room / 4);
  return html`<section aria-labelledby="decision">
      <h2 id="decision">${trust.isOfNow ? "What a promotion would decide now" : "What the last promotion decided"}</h2>
      ${decisionText(trust.decision, { artifact, host, room: room - bytesOf(approvals) })} ${choice}
    </section>
    <section aria-labelledby="approvals">
      <h2 id="approvals">Approvals</h2>
      ${approvals}
    </section>
    <section aria-labelledby="acts">
      <h2 id="acts">What you can do</h2>
      ${acts}
    </section>`;
}

function approvalsText({ approvals, artifact }: Trust, room: number): Html {
  const rows = approvals.map(({ by, at, reason, expires_at: until }) => [
    foreign(by),
    moment(at),
    until === null ? "it is withdrawn" : moment(until),
    reason === null ? "" : foreign(reason, 1024),
  ]);
  const count = Math.max(1, fittingRows(APPROVAL_COLUMNS, rows, room).count);
  return html`${table({
    caption: "Approvals that count for the next promotion",
    columns: APPROVAL_COLUMNS,
    rows: rows.slice(0, count),
    empty: "Nobody has approved it. A reviewer who did not push it approves it below.",
  })}
  ${andMore(rows.length - count, html`<code>GET /v1/artifacts/${artifact.repository}@${artifact.digest}</code> lists all`)}`;
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
