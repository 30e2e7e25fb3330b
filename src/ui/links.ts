import { type Html, html } from "./html.ts";

/** The tabs of an artifact's page, each a page of its own. */
export const TABS = [
  { name: "trust", title: "Trust" },
  { name: "changes", title: "Changes" },
  { name: "provenance", title: "Provenance" },
  { name: "timeline", title: "Timeline" },
  { name: "contents", title: "Contents" },
  { name: "card", title: "Model card" },
  { name: "referrers", title: "Referrers" },
  { name: "access", title: "Access" },
  { name: "raw", title: "Raw" },
] as const;
export type TabName = (typeof TABS)[number]["name"];

/** What the page of an artifact is about. */
export interface ArtifactName {
  readonly repository: string;
  readonly digest: string;
}

/** Below an artifact's page; repository and digest are of few characters, none of which means anything in an address. */
export function artifactPath({ repository, digest }: ArtifactName, below?: string): string {
  return `/ui/artifacts/${repository}@${digest}${below === undefined ? "" : `/${below}`}`;
}

/** A digest that leads to its artifact's page, or to its page in the same repository. */
export function digestLink(name: ArtifactName, text: string = name.digest): Html {
  return html`<a href="${artifactPath(name)}"><code class="digest">${text}</code></a>`;
}

const SHOWN_DIGITS = 12;

/** The beginning of a digest, as it tells artifacts apart to people; never what anything is decided by. */
export function shortDigest(digest: string): string {
  const at = digest.indexOf(":") + 1;
  return `${digest.slice(0, at + SHOWN_DIGITS)}…`;
}

/** The page of an identity. */
export function identityPath(name: string): string {
  return `/ui/identities/${encodeURIComponent(name)}`;
}

/** The page of a policy, or below it. */
export function policyPath(name: string, below = ""): string {
  return `/ui/policies/${encodeURIComponent(name)}${below}`;
}
