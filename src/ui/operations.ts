import { type Viewer, tokenField } from "./frame.ts";
import { hindered } from "./hindrance.ts";
import { type Html, html } from "./html.ts";
import { facts, table } from "./table.ts";
import { foreign, moment, sizeText } from "./text.ts";

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

/** What the page of operations shows; times are RFC 3339, parts of a whole from 0 to 1. */
export interface Operations {
  readonly condition: string;
  readonly room: number;
  readonly jobs: readonly {
    readonly name: string;
    readonly isRunning: boolean;
    readonly dueAt: string;
    readonly progress: number | undefined;
  }[];
  readonly check: { readonly progress: number; readonly blobs: number; readonly damaged: number } | undefined;
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
  const { condition, room, versions, configuration } = shown;
  const isWell = condition === "ok";
  return html`<h1>Operations</h1>
    <p class="notice ${isWell ? "good" : "bad"}" role="status">
      <span aria-hidden="true">${isWell ? "✔" : "✘"}</span> ${CONDITIONS[condition] ?? condition} Room for uploads:
      ${sizeText(Math.max(0, room))}.
    </p>
    ${jobsTable(shown)} ${checkText(shown)} ${damageText(shown)} ${namespacesTable(shown)}
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

function bar(progress: number, label: string): Html {
  const percent = Math.round(progress * 100);
  return html`<progress value="${percent}" max="100" aria-label="${label}">${percent} %</progress> ${percent} %`;
}

function jobsTable({ jobs }: Operations): Html {
  return html`<h2>Jobs</h2>
    ${table({
      caption: "What is done without being asked, by one worker at a time",
      columns: ["Job", "Standing", "How far", "Due"],
      rows: jobs.map(({ name, isRunning, dueAt, progress }) => [
        name,
        isRunning ? html`<span class="state wait"><span aria-hidden="true">◐</span> runs</span>` : "rests",
        progress === undefined ? "" : bar(progress, `How far ${name} is`),
        isRunning ? "" : moment(dueAt),
      ]),
      empty: "None has run yet: workers begin them when they start.",
    })}`;
}

function checkText({ check, lastCheck, hindrances, viewer }: Operations): Html {
  const start = "Check all bytes";
  return html`<h2>Integrity</h2>
    ${
      lastCheck === undefined
        ? html`<p>No check of all bytes has ended yet.</p>`
        : html`<p class="notice ${lastCheck.status === "ok" ? "good" : "bad"}">
            The last check, ${moment(lastCheck.at)}: ${lastCheck.status}; ${lastCheck.blobs} blobs, ${lastCheck.damaged} damaged,
            ${lastCheck.artifactsFailed} artifacts with damage.
          </p>`
    }
    ${check !== undefined && html`<p>A check is under way: ${bar(check.progress, "How far the check is")}, ${check.blobs} blobs so far, ${check.damaged} damaged.</p>`}
    ${hindrances.start === undefined ? actForm(viewer, "verify", start) : hindered({ id: "start", title: start, why: hindrances.start })}
    ${check !== undefined && (hindrances.cancel === undefined ? actForm(viewer, "verify/cancel", "End the check") : hindered({ id: "cancel", title: "End the check", why: hindrances.cancel }))}`;
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
      empty: "No more.",
    })}
    ${nextNamespace !== undefined && html`<p><a rel="next" href="/ui/operations?after=${encodeURIComponent(nextNamespace)}">More namespaces</a></p>`}`;
}

function heldText([used, most]: readonly [number, number | null], text: (value: number) => string): string {
  return `${text(used)} of ${most === null ? "any number" : text(most)}`;
}
