import { type Viewer, tokenField } from "./frame.ts";
import { hindered } from "./hindrance.ts";
import { type Html, html } from "./html.ts";
import { facts, table } from "./table.ts";
import { foreign, grouped, moment, sizeText } from "./text.ts";

/** A check of all bytes that ended; its time is RFC 3339. */
interface EndedCheck {
  readonly status: string;
  readonly at: string;
  readonly blobs: number;
  readonly damaged: number;
  readonly artifactsFailed: number;
}

/** What a namespace holds of what it may hold; null: any number. */
interface Held {
  readonly name: string;
  readonly owner: string;
  readonly bytes: readonly [number, number | null];
  readonly artifacts: readonly [number, number | null];
  readonly tags: readonly [number, number | null];
}

/** Something that is done without being asked. */
interface ShownJob {
  readonly name: string;
  readonly isRunning: boolean;
  readonly dueAt: string;
  /** Undefined where it cannot be told how far it is. */
  readonly progress: { readonly part: number; readonly blobs: number } | undefined;
}

/** What the page of operations shows; times are RFC 3339, parts of a whole from 0 to 1. */
export interface Operations {
  readonly condition: string;
  /** Bytes; undefined for who does not run the registry. */
  readonly room: number | undefined;
  readonly jobs: readonly ShownJob[];
  /** Of all bytes; `total` is null where there are too many blobs to be counted. */
  readonly check: { readonly part: number; readonly blobs: number; readonly total: number | null; readonly damaged: number } | undefined;
  readonly lastCheck: EndedCheck | undefined;
  readonly damaged: readonly { readonly blob: string; readonly artifacts: readonly string[] }[];
  readonly versions: readonly (readonly [string, string])[];
  /** Undefined for who does not run the registry. */
  readonly configuration: readonly (readonly [string, string])[] | undefined;
  readonly namespaces: readonly Held[];
  readonly nextNamespace: string | undefined;
  readonly hindrances: { readonly start: string | undefined; readonly cancel: string | undefined };
  readonly viewer: Viewer;
}

/** The page of who runs the registry. */
export function operationsPage(shown: Operations): Html {
  const { versions, configuration } = shown;
  return html`<h1>Operations</h1>
    <div id="health" data-region>${healthText(shown)}</div>
    <section id="jobs" data-region aria-labelledby="jobs-title">${jobsTable(shown)}</section>
    <section id="integrity" data-region data-quiet data-says="${standingText(shown)}" aria-labelledby="integrity-title">
      ${checkText(shown)} ${damageText(shown)}
    </section>
    ${namespacesTable(shown)}
    <h2>Versions</h2>
    ${facts(versions)}
    <p class="soft">
      Backups are made by <code>ai-model-registry backup FOLDER</code> and checked by <code>check-backup</code>; the folder tells of the
      last one, the registry keeps no record of it.
    </p>
    <h2>Configuration</h2>
    ${
      configuration === undefined
        ? html`<p class="notice">It is for operators.</p>`
        : html`<p class="soft">It holds no secret, only the paths of files that do.</p>
            ${facts(configuration.map(([name, value]) => [name, foreign(value, 160)]))}`
    }`;
}

const CONDITIONS: Readonly<Record<string, string>> = {
  ok: "It is ready: what comes is taken in, what is there is served.",
  degraded: "Degraded: what is there is served, and nothing new is taken in. Make room.",
  unavailable: "Unavailable: metadata or files cannot be written. The log says why.",
  draining: "It is about to stop.",
};

/** What each job is for, in a line. */
const PURPOSES: Readonly<Record<string, string>> = {
  "collect-garbage": "removes bytes that nothing names any more",
  "expire-uploads": "removes uploads that nobody went on with",
  "follow-authorities": "looks again at what a revoked publisher had signed",
  "index-artifacts": "puts what an earlier version took in where it is searched for",
  "index-referrers": "orders what an earlier version took in by who attached it",
  "remove-files": "removes the files of models that were deleted",
  "repair-runtime-tree": "puts right the folders that runtimes mount",
  "revoke-everywhere": "writes down what follows from a revocation everywhere",
  "sign-statements": "signs what an earlier version left unsigned",
  "take-stock": "counts for metrics what takes long to count",
  "verify-all": "reads all bytes, and compares them to their digests",
};

function healthText({ condition, room }: Operations): Html {
  const isWell = condition === "ok";
  return html`<p class="notice ${isWell ? "good" : "bad"}" role="status">
    <span aria-hidden="true">${isWell ? "✔" : "✘"}</span> ${CONDITIONS[condition] ?? condition}
    ${room !== undefined && `Room for uploads: ${sizeText(Math.max(0, room))}.`}
  </p>`;
}

function bar(part: number, label: string): Html {
  const percent = Math.floor(part * 100);
  return html`<progress value="${percent}" max="100" aria-label="${label}">${percent} %</progress> ${percent} %`;
}

function jobsTable({ jobs }: Operations): Html {
  return html`<h2 id="jobs-title">Jobs</h2>
    ${table({
      caption: "What is done without being asked, by one worker at a time",
      columns: ["Job", "Standing", "How far", "Due"],
      // What runs is what somebody looks for.
      rows: jobs
        .toSorted((one, other) => Number(other.isRunning) - Number(one.isRunning))
        .map((job) => [
          html`${job.name} <span class="purpose">${PURPOSES[job.name]}</span>`,
          job.isRunning ? html`<span class="state wait"><span aria-hidden="true">◐</span> runs</span>` : "rests",
          progressText(job),
          job.isRunning ? "now" : moment(job.dueAt),
        ]),
      empty: "None has run yet: workers begin them when they start.",
    })}`;
}

function progressText({ name, isRunning, progress }: ShownJob): Html | "" {
  if (progress === undefined) return "";
  return html`${bar(progress.part, `How far ${name} is`)}
    <div class="soft">
      ${grouped(progress.blobs)} ${progress.blobs === 1 ? "blob" : "blobs"} looked at${!isRunning && "; it goes on from there"}
    </div>`;
}

/** What is said to who only hears the page, when it is no longer what was said last. */
function standingText({ check, lastCheck }: Operations): string {
  if (check !== undefined) return "A check of all bytes is under way.";
  return lastCheck === undefined ? "No check of all bytes is under way." : `The check of all bytes has ended: ${lastCheck.status}.`;
}

function checkText({ check, lastCheck, hindrances, viewer }: Operations): Html {
  const start = "Check all bytes";
  return html`<h2 id="integrity-title">Integrity</h2>
    ${
      lastCheck === undefined
        ? html`<p>No check of all bytes has ended yet.</p>`
        : html`<p class="notice ${lastCheck.status === "ok" ? "good" : "bad"}">
            The last check, ${moment(lastCheck.at)}: ${lastCheck.status}; ${grouped(lastCheck.blobs)} blobs, ${grouped(lastCheck.damaged)}
            damaged, ${grouped(lastCheck.artifactsFailed)} artifacts with damage.
          </p>`
    }
    ${check !== undefined && underWayText(check)}
    ${hindrances.start === undefined ? actForm(viewer, "verify", start) : hindered({ id: "start", title: start, why: hindrances.start })}
    ${check !== undefined && (hindrances.cancel === undefined ? actForm(viewer, "verify/cancel", "End the check") : hindered({ id: "cancel", title: "End the check", why: hindrances.cancel }))}`;
}

function underWayText({ part, blobs, total, damaged }: NonNullable<Operations["check"]>): Html {
  return html`<p>
    A check is under way: ${bar(part, "How far the check is")}, ${grouped(blobs)}
    blobs${total === null ? " so far" : ` of ${grouped(total)}`}, ${grouped(damaged)} damaged.
  </p>`;
}

function actForm(viewer: Viewer, below: string, title: string): Html {
  return html`<form method="post" action="/ui/operations/${below}">
    ${tokenField(viewer)}
    <p><button>${title}</button></p>
  </form>`;
}

function damageText({ damaged }: Operations): Html {
  return table({
    caption: "Damaged blobs: push the right bytes again",
    columns: ["Blob", "Artifacts that reach it"],
    rows: damaged.map(({ blob, artifacts }) => [
      html`<code>${blob}</code>`,
      html`${artifacts.map((name) => html`<div><a href="/ui/artifacts/${name}">${name}</a></div>`)}`,
    ]),
    empty: "No blob is damaged, as far as they were checked.",
  });
}

function namespacesTable({ namespaces, nextNamespace }: Operations): Html {
  return html`<h2>Namespaces</h2>
    ${table({
      caption: "What they hold, and what they may hold",
      columns: ["Namespace", "Owner", "Bytes", "Artifacts", "Tags"],
      rows: namespaces.map(({ name, owner, bytes, artifacts, tags }) => [
        name,
        foreign(owner, 64),
        heldText(bytes, sizeText),
        heldText(artifacts, String),
        heldText(tags, String),
      ]),
      empty: html`No more that you may see. An operator makes one for an identity, on the
        <a href="/ui/identities">page of that identity</a>.`,
    })}
    ${nextNamespace !== undefined && html`<p><a rel="next" href="/ui/operations?after=${encodeURIComponent(nextNamespace)}">More namespaces</a></p>`}`;
}

function heldText([used, most]: readonly [number, number | null], text: (value: number) => string): string {
  return `${text(used)} of ${most === null ? "any number" : text(most)}`;
}
