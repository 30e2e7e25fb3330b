import type { State } from "../lifecycle/state.ts";
import { type Html, html } from "./html.ts";
import { artifactPath, digestLink, shortDigest } from "./links.ts";
import { stateBadge } from "./state.ts";
import { keysHint } from "./keys.ts";
import { table } from "./table.ts";
import { durationText, foreign, moment } from "./text.ts";

/** An artifact that waits for a decision. Times are RFC 3339, ages milliseconds. */
export interface QueuedArtifact {
  readonly repository: string;
  readonly digest: string;
  readonly tags: readonly string[];
  readonly state: State;
  readonly age: number;
  readonly pushedBy: string;
  readonly refusedAt: string | undefined;
  /** To what is trusted now, in a line. */
  readonly difference: string | undefined;
}

/** A page of the queue. */
export interface Queue {
  readonly artifacts: readonly QueuedArtifact[];
  readonly isFirst: boolean;
  /** Where the next page begins; null on the last one. */
  readonly next: string | null;
  /** False while artifacts of an earlier version are not in it yet. */
  readonly isComplete: boolean;
}

const MAX_TAGS = 3;

/** What waits for somebody to decide, the longest waiting first. */
export function reviewPage({ artifacts, isFirst, next, isComplete }: Queue): Html {
  return html`<h1>Review queue</h1>
    ${keysHint("j and k go down and up, Enter opens")}
    <div id="queue" data-region data-says="The queue has changed.">
      ${table({
        caption: "What waits for a decision and you may see, the longest waiting first",
        columns: ["Repository", "Digest", "Tags", "State", "Waits", "Pushed by", "Changes", "Refused last"],
        rows: artifacts.map(({ repository, digest, tags, state, age, pushedBy, refusedAt, difference }) => [
          repository,
          digestLink({ repository, digest }, shortDigest(digest)),
          tags.slice(0, MAX_TAGS).join(", ") || "none",
          stateBadge(state),
          durationText(age),
          foreign(pushedBy),
          html`<a href="${artifactPath({ repository, digest }, "changes")}">${difference ?? "compare"}</a>`,
          refusedAt === undefined ? "never" : moment(refusedAt),
        ]),
        empty: emptyText(isFirst, next),
      })}
      ${next !== null && html`<p><a rel="next" href="/ui/review?cursor=${encodeURIComponent(next)}">${artifacts.length === 0 ? "Look further" : "Next page"}</a></p>`}
      ${!isComplete && html`<p class="soft">Artifacts from before an update are still being put in order, in the background: <a href="/ui/explore?state=acquired">explore</a> shows all.</p>`}
    </div>`;
}

function emptyText(isFirst: boolean, next: string | null): Html {
  if (next !== null) return html`<span>Those that were looked at so far are parts of others, and wait with these. Look further.</span>`;
  if (!isFirst) return html`<span>That was the last one. <a href="/ui/review">Begin again</a> with those that wait longest.</span>`;
  return html`<span>Nothing waits. <a href="/ui/explore?state=trusted">See what is trusted</a>, or come back after the next push.</span>`;
}
