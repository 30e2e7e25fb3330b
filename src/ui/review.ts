import type { State } from "../lifecycle/state.ts";
import { type Html, html } from "./html.ts";
import { artifactPath, digestLink, shortDigest } from "./links.ts";
import { stateBadge } from "./state.ts";
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

/** The queue, and whether it holds all that there is. */
export interface Queue {
  readonly artifacts: readonly QueuedArtifact[];
  /** How many wait besides those that are shown. */
  readonly more: number;
  readonly isComplete: boolean;
}

const MAX_TAGS = 3;

/** What waits for somebody to decide, the longest waiting first. */
export function reviewPage({ artifacts, more, isComplete }: Queue): Html {
  return html`<h1>Review queue</h1>
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
      empty: html`Nothing waits. <a href="/ui/explore?state=trusted">See what is trusted</a>, or come back after the next push.`,
    })}
    ${more > 0 && html`<p>${more} more wait.</p>`}
    ${!isComplete && html`<p class="soft">The first two hundred of each state were looked at, by repository: <a href="/ui/explore?state=acquired">explore</a> shows all.</p>`}`;
}
