import { copyable } from "./copyable.ts";
import { type Viewer, tokenField } from "./frame.ts";
import { hindered } from "./hindrance.ts";
import { type Html, html } from "./html.ts";
import { policyPath, shortDigest } from "./links.ts";
import { IN_FORCE_FIELD, MAX_DOCUMENT, inForceText, patternsText, tryForm } from "./policies.ts";
import { facts, table } from "./table.ts";
import { foreign, markupLength, moment, readable } from "./text.ts";
import { REASON_FIELD } from "./trust.ts";

/** A version of a policy; its time is RFC 3339. */
interface ListedVersion {
  readonly version: number;
  readonly digest: string;
  readonly by: string;
  readonly at: string;
}

/** What the page of a policy shows. */
export interface ShownPolicy {
  readonly name: string;
  /** The version that is shown, and whether it decides. */
  readonly shown: ListedVersion & { readonly inForce: boolean };
  readonly last: number;
  /** As text that says the same. */
  readonly text: string;
  readonly repositories: readonly string[];
  readonly versions: readonly ListedVersion[];
  /** Undefined for who may not know of all repositories. */
  readonly matching: { readonly names: readonly string[]; readonly next: string | undefined } | undefined;
  readonly done: string | undefined;
  readonly hindrance: string | undefined;
  readonly viewer: Viewer;
}

const DONE: Readonly<Record<string, string>> = {
  saved: "It is in force, from the next promotion on.",
  ended: "It is in force no more; its versions stay.",
};

const MAX_PATTERNS = 10;

/** The page of a policy. */
export function policyPage(policy: ShownPolicy): Html {
  const { name, shown, last, repositories, done, text, hindrance, viewer } = policy;
  const said = done !== undefined && Object.hasOwn(DONE, done) ? DONE[done] : undefined;
  const isLong = markupLength(text) > MAX_DOCUMENT;
  return html`<h1>Policy ${foreign(name, 64)}, version ${shown.version}</h1>
    ${said !== undefined && html`<p class="notice good" role="status">${said}</p>`}
    ${facts([
      ["Standing", inForceText(shown.inForce)],
      ["Last version", last],
      ["Digest", copyable(shown.digest, "the digest")],
      ["Changed", html`${moment(shown.at)} by ${foreign(shown.by, 64)}`],
      ["Decides about", patternsText(repositories, MAX_PATTERNS)],
    ])}
    ${matchingText(policy)} ${versionsText(policy)}
    ${
      isLong
        ? html`<h2>What it says</h2>
            <pre>${cutAsMarkup(text)}…</pre>
            <p>
              It is too long for a page: <code>securectl policy show ${name}</code>, then <code>securectl policy replay FILE</code> and
              <code>apply FILE</code>.
            </p>`
        : hindrance === undefined
          ? tryForm({ text, title: "What it says, to change and try", hindrance, viewer })
          : html`<h2>What it says</h2>
              <pre>${text}</pre>
              ${hindered({ id: "try", title: "Change it", why: hindrance })}`
    }
    ${endForm(policy)}`;
}

/** Cut so that it is within the bound whatever stands in it: a character is six of markup at most. */
function cutAsMarkup(text: string): string {
  return readable(text.slice(0, MAX_DOCUMENT / 8).replaceAll("\n", " "), MAX_DOCUMENT);
}

function matchingText({ matching, name }: ShownPolicy): Html {
  if (matching === undefined)
    return html`<h2>Repositories</h2>
      <p class="notice">Which of them match is for auditors and operators, who know of all.</p>`;
  const { names, next } = matching;
  return html`<h2>Repositories</h2>
    ${
      names.length === 0
        ? html`<p class="notice">
            ${next === undefined ? "None is there yet that it decides about." : "None among those that were looked at so far."}
          </p>`
        : html`<ul>
            ${names.map((each) => html`<li><a href="/ui/explore?name=${encodeURIComponent(each)}">${each}</a></li>`)}
          </ul>`
    }
    ${next !== undefined && html`<p><a rel="next" href="${policyPath(name, `?after=${encodeURIComponent(next)}`)}">Look further</a></p>`}`;
}

function versionsText({ name, shown, versions, last }: ShownPolicy): Html {
  const oldest = versions.at(-1)?.version ?? 1;
  return html`<h2>Versions</h2>
    ${table({
      caption: "Newest first",
      columns: ["Version", "Digest", "Made", "Difference"],
      rows: versions.map(({ version, digest, by, at }) => [
        html`<a href="${policyPath(name, `?version=${version}`)}">${version}</a>${version === shown.version && " (shown)"}`,
        html`<code>${shortDigest(digest)}</code>`,
        html`${moment(at)} by ${foreign(by, 64)}`,
        version === 1
          ? "the first one"
          : html`<a href="${policyPath(name, `/difference?from=${version - 1}&to=${version}`)}">to version ${version - 1}</a>`,
      ]),
      empty: "None.",
    })}
    ${oldest > 1 && html`<p><a rel="next" href="${policyPath(name, `?before=${oldest}`)}">Earlier versions</a></p>`}
    ${
      last > 1 &&
      html`<form method="get" action="${policyPath(name, "/difference")}" class="filters">
        <div>
          <label for="from">Compare version</label>
          <input id="from" name="from" type="number" min="1" max="${last}" value="1" required />
        </div>
        <div>
          <label for="to">with version</label>
          <input id="to" name="to" type="number" min="1" max="${last}" value="${last}" required />
        </div>
        <p><button>Compare</button></p>
      </form>`
    }`;
}

function endForm({ name, shown, hindrance, viewer }: ShownPolicy): Html {
  const title = "End this policy";
  const why = hindrance ?? (shown.inForce ? undefined : "this version is not in force");
  if (why !== undefined) return hindered({ id: "end", title, why });
  return html`<form class="act" method="post" action="${policyPath(name, "/end")}">
    <h3>${title}</h3>
    <p>What it asks for is asked for no more, from the next promotion on. Nothing that is trusted changes.</p>
    ${tokenField(viewer)}
    <input type="hidden" name="${IN_FORCE_FIELD}" value="${shown.digest}" />
    <label for="reason">Reason (needed; it is part of the signed statement)</label>
    <textarea id="reason" name="${REASON_FIELD}" maxlength="1024" required></textarea>
    <p><button class="grave">${title}</button></p>
  </form>`;
}
