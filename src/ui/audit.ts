import { copyable } from "./copyable.ts";
import { type Html, html } from "./html.ts";
import { roomBeside } from "./room.ts";
import { fittingRows, table } from "./table.ts";
import { foreign, grouped, moment, readable } from "./text.ts";

/** An event; its time is RFC 3339. */
export interface ShownEvent {
  readonly sequence: number;
  readonly time: string;
  readonly type: string;
  readonly outcome: string;
  readonly actor: string;
  readonly from: string | undefined;
  readonly requestId: string | undefined;
  readonly target: string | undefined;
  readonly reason: string | undefined;
  /** What changed, as JSON. */
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** Which events are looked for, as it was typed. */
export interface AuditFields {
  readonly actor: string;
  readonly type: string;
  readonly artifact: string;
}

/** A page of the audit, newest first; `next` is where earlier events are looked for. */
export interface AuditPage {
  readonly fields: AuditFields;
  readonly events: readonly ShownEvent[];
  readonly next: number | undefined;
  /** The last link of the chain; null while nothing has happened. */
  readonly head: { readonly sequence: number; readonly hash: string } | null;
}

const MAX_CHANGE = 240;
const COLUMNS = ["Event", "When", "What", "Who", "About", "Why", "Change"];
/** Bytes of the page besides its form and its rows. */
const ROUND_TABLE = 3_000;

/** The page of what happened. */
export function auditPage({ fields, events, next: nextPage, head }: AuditPage): Html {
  const form = html`${chainText(fields, head)} ${filterForm(fields)}`;
  const rows = events.map(row);
  const { count } = fittingRows(COLUMNS, rows, roomBeside(form) - ROUND_TABLE);
  // What has no room begins the next page.
  const next = count < events.length ? events[count - 1]?.sequence : nextPage;
  return html`<h1>Audit</h1>
    ${form}
    ${table({
      caption: "What happened, newest first",
      columns: COLUMNS,
      rows: rows.slice(0, count),
      empty:
        next === undefined
          ? html`No event fits. Take something away from the filter.`
          : html`None of the five hundred events that were looked at fits: look further back.`,
    })}
    ${next !== undefined && html`<p><a rel="next" href="${earlierPath(fields, next)}">Earlier events</a></p>`}
    <p class="soft"><code>securectl audit verify</code> proves the same from another machine.</p>`;
}

/** How the chain stands, and what can be done with it. */
function chainText(fields: AuditFields, head: AuditPage["head"]): Html {
  if (head === null) return html``;
  const isFiltered = queryOf(fields).size > 0;
  return html`<p>
      ${grouped(head.sequence)} events, each with the hash of the one before it; the last one’s is
      ${copyable(head.hash, "the hash of the last event")}
    </p>
    <p>
      <a href="/ui/audit/verify">Prove that none was changed or left out</a> ·
      <a href="/ui/audit/jsonl?${queryOf(fields).toString()}" download="audit.jsonl"
        >${isFiltered ? "Download those that fit" : "Download all"} as JSON lines</a
      >
    </p>`;
}

function queryOf(fields: AuditFields): URLSearchParams {
  return new URLSearchParams(Object.entries(fields).filter(([, value]) => value !== ""));
}

function filterForm({ actor, type, artifact }: AuditFields): Html {
  return html`<form method="get" action="/ui/audit" role="search" class="filters">
    <div>
      <label for="actor">Who</label>
      <input id="actor" name="actor" value="${readable(actor, 255)}" maxlength="255" autocapitalize="none" spellcheck="false" />
    </div>
    <div>
      <label for="type">What (such as artifact.promote)</label>
      <input id="type" name="type" value="${readable(type, 64)}" maxlength="64" autocapitalize="none" spellcheck="false" />
    </div>
    <div>
      <label for="artifact">About (repository, tag or digest)</label>
      <input id="artifact" name="artifact" value="${readable(artifact, 512)}" maxlength="512" autocapitalize="none" spellcheck="false" />
    </div>
    <p><button>Filter</button></p>
  </form>`;
}

function row(event: ShownEvent): readonly (string | number | Html)[] {
  const { sequence, time, type, outcome, actor, from, requestId, target, reason, before, after } = event;
  return [
    sequence,
    moment(time),
    outcome === "allow"
      ? html`<span class="short">${type}</span>`
      : html`<span class="short">${type}</span> <span class="state bad">✘ ${outcome}</span>`,
    html`<div class="person">
      ${foreign(actor, 80)}${from !== undefined && html`<br /><span class="soft">from ${foreign(from, 64)}</span>`}${
        requestId !== undefined && html`<br /><span class="soft">request ${foreign(requestId, 64)}</span>`
      }
    </div>`,
    target === undefined ? "" : foreign(target, 200),
    reason === undefined ? "" : foreign(reason),
    html`${before !== undefined && html`<div>before: <code>${foreign(before, MAX_CHANGE)}</code></div>`}${
      after !== undefined && html`<div>after: <code>${foreign(after, MAX_CHANGE)}</code></div>`
    }`,
  ];
}

function earlierPath(fields: AuditFields, before: number): string {
  const query = queryOf(fields);
  query.set("before", String(before));
  return `/ui/audit?${query.toString()}`;
}
