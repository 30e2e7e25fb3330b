import type { State } from "../lifecycle/state.ts";
import { copyable, copyableCommand } from "./copyable.ts";
import { type Html, html } from "./html.ts";
import { keysHint } from "./keys.ts";
import { TABS, type TabName, artifactPath } from "./links.ts";
import { meaningOf, stateBadge } from "./state.ts";
import { facts } from "./table.ts";
import { foreign, moment, sizeText } from "./text.ts";
import { typeText } from "./type-name.ts";

/** What stands above every tab of an artifact. Times are RFC 3339. */
export interface ArtifactHead {
  readonly repository: string;
  readonly digest: string;
  readonly state: State;
  readonly tags: readonly string[];
  readonly promotedTags: readonly string[];
  readonly type: string;
  readonly size: number;
  readonly pushedBy: string;
  readonly pushedAt: string;
  readonly changedBy: string;
  readonly changedAt: string;
  readonly reason: string | null;
  readonly revocation: { readonly isPermanent: boolean; readonly isEverywhere: boolean; readonly reason: string } | null;
  /** What it is attached to. */
  readonly subject: string | null;
  /** host:port, as clients write it. */
  readonly host: string;
}

/** What was just done, as the address says it: one of these words. */
const DONE: Readonly<Record<string, string>> = {
  quarantine: "It is held back in quarantine now.",
  approve: "Your approval is signed and counts.",
  withdraw: "Your approval is taken back.",
  promote: "It is trusted now, and runtimes get it.",
  revoke: "It is revoked: no runtime gets it any more.",
  delete: "It is deleted; its history stays.",
};

/** What was not done, in the same way. */
const NOT_DONE: Readonly<Record<string, string>> = {
  refused: "The policy refuses it: nothing was changed. The checks and requirements that fail say what to do.",
  outdated: "What the decision rested on has changed: nothing was changed now. This is the new decision; look at it and promote again.",
};

const MAX_TAGS = 10;

/** What stands above the content of a tab. */
export function artifactTop(head: ArtifactHead, tab: TabName, done: string | undefined): Html {
  const said = done !== undefined && Object.hasOwn(DONE, done) ? DONE[done] : undefined;
  const failed = done !== undefined && Object.hasOwn(NOT_DONE, done) ? NOT_DONE[done] : undefined;
  return html`<h1>${head.repository}</h1>
    ${failed !== undefined && html`<p class="notice bad" role="alert">${failed}</p>`}
    ${said !== undefined && html`<p class="notice good" role="status">${said}</p>`}
    <div id="head" data-region data-says="It is ${head.state}: ${meaningOf(head.state)}.">
      <p>${stateBadge(head.state)} – ${meaningOf(head.state)}.</p>
      ${head.revocation !== null && revocationNotice(head.revocation)} ${headFacts(head)} ${commands(head)}
    </div>
    <nav aria-label="About this artifact">
      <ul class="tabs">
        ${TABS.map(
          ({ name, title }) =>
            html`<li><a href="${artifactPath(head, name)}" ${name === tab && html`aria-current="page"`}>${title}</a></li>`,
        )}
      </ul>
    </nav>
    ${tab === "trust" && keysHint("a, p, q, r and d go to the reason of approve, promote, quarantine, revoke and delete, u to the queue; none sends anything")}`;
}

/** An artifact's page with one of its tabs. */
export function artifactPage(top: Html, content: Html): Html {
  return html`${top}
    <div id="tab" data-region>${content}</div>`;
}

function revocationNotice({ isPermanent, isEverywhere, reason }: NonNullable<ArtifactHead["revocation"]>): Html {
  const where = isEverywhere ? "in every repository" : "in this repository";
  return html`<p class="notice bad">Revoked ${where}${isPermanent && ", for ever"}, because: ${foreign(reason, 1024)}</p>`;
}

function headFacts(head: ArtifactHead): Html {
  const { digest, tags, promotedTags, type, size, pushedBy, pushedAt, changedBy, changedAt, reason, revocation, subject, repository } =
    head;
  return facts([
    ["Digest", copyable(digest, "the digest")],
    ["Tags", tagText(tags)],
    ["Runtimes find it by", tagText(promotedTags)],
    ["Type", typeText(type, 300)],
    ["Size", `${sizeText(size)}, all it consists of`],
    ["Pushed", html`${moment(pushedAt)} by ${foreign(pushedBy)}`],
    [
      "Last changed",
      html`${moment(changedAt)} by
      ${foreign(changedBy)}${reason !== null && revocation === null && html`, because: ${foreign(reason, 1024)}`}`,
    ],
    ...(subject === null
      ? []
      : [["Attached to", html`<a href="${artifactPath({ repository, digest: subject })}"><code>${subject}</code></a>`] as const]),
  ]);
}

function tagText(tags: readonly string[]): string {
  if (tags.length === 0) return "no tag";
  return tags.slice(0, MAX_TAGS).join(", ") + (tags.length > MAX_TAGS ? ` and ${tags.length - MAX_TAGS} more` : "");
}

function commands({ host, repository, digest }: ArtifactHead): Html {
  const name = `${host}/${repository}@${digest}`;
  const lines = {
    oras: `oras pull ${name}`,
    podman: `podman artifact pull ${name}`,
    skopeo: `skopeo copy docker://${name} oci:model`,
    securectl: `securectl pull ${repository}@${digest}`,
  };
  return html`<details>
    <summary>Commands that fetch it</summary>
    ${Object.entries(lines).map(([client, line]) => copyableCommand(line, `the command for ${client}`))}
    <p class="hint">A client logs in first, such as by <code>oras login ${host}</code>.</p>
  </details>`;
}
