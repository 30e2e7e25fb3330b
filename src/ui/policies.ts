import { type Viewer, tokenField } from "./frame.ts";
import { hindered } from "./hindrance.ts";
import { type Html, html } from "./html.ts";
import { policyPath, shortDigest } from "./links.ts";
import { table } from "./table.ts";
import { foreign, moment } from "./text.ts";

/** A policy in a list; its time is RFC 3339. */
interface ListedPolicy {
  readonly name: string;
  readonly version: number;
  readonly digest: string;
  readonly repositories: readonly string[];
  readonly inForce: boolean;
  readonly by: string;
  readonly at: string;
}

/** A page of policies. */
export interface PolicyList {
  readonly policies: readonly ListedPolicy[];
  /** Where the next page begins; undefined on the last one. */
  readonly next: number | undefined;
  /** Why the viewer may change none; undefined where it may. */
  readonly hindrance: string | undefined;
  readonly viewer: Viewer;
}

/** The field of a policy's text, and those by which a form says what it rests on. */
export const DOCUMENT_FIELD = "document";
export const TRIED_FIELD = "tried";
export const IN_FORCE_FIELD = "in-force";

/** More characters, as markup, are too many for a page; what is longer is put in force by securectl. */
export const MAX_DOCUMENT = 18_000;

/** What the form for a new policy begins with: a whole policy, which asks for little. */
export const FIRST_POLICY = `apiVersion: trust.ai-model-registry.dev/v1
kind: TrustPolicy
metadata: { name: reviewed }
spec:
  match: { repositories: ["models/**"] }
  require:
    - { name: reviewed, evidence: { kind: approvals, minimum: 1 } }
`;

const MAX_PATTERNS = 3;

/** The page of the policies that promotions are decided by. */
export function policiesPage({ policies, next, hindrance, viewer }: PolicyList): Html {
  return html`<h1>Policies</h1>
    <p>
      A policy that matches a repository must pass whole before anything there becomes trusted.
      <a href="/ui/trust">Trust roots and revoked publishers</a> have a page of their own.
    </p>
    ${table({
      caption: "Policies by name",
      columns: ["Name", "Standing", "Version", "Repositories", "Changed"],
      rows: policies.map(({ name, version, digest, repositories, inForce, by, at }) => [
        html`<a href="${policyPath(name)}">${name}</a>`,
        inForceText(inForce),
        html`${version} <code>${shortDigest(digest)}</code>`,
        patternsText(repositories, MAX_PATTERNS),
        html`${moment(at)} by ${foreign(by, 64)}`,
      ]),
      empty: html`There is none: the built-in policy decides. Write one below, or put one in force with
        <code>securectl policy apply FILE</code>.`,
    })}
    ${next !== undefined && html`<p><a rel="next" href="/ui/policies?from=${next}">Next page</a></p>`}
    <h2>A new policy</h2>
    ${tryForm({ text: FIRST_POLICY, title: "Write a policy", hindrance, viewer })}`;
}

/** Does it decide? By icon and word. */
export function inForceText(inForce: boolean): Html {
  return inForce
    ? html`<span class="state good"><span aria-hidden="true">✔</span> in force</span>`
    : html`<span class="state wait"><span aria-hidden="true">○</span> not in force</span>`;
}

/** The first patterns of a policy, and how many more there are. */
export function patternsText(patterns: readonly string[], most: number): Html {
  const more = patterns.length - most;
  return html`${patterns.slice(0, most).map((pattern) => html`<div><code>${foreign(pattern, 120)}</code></div>`)}${more > 0 && `and ${more} more`}`;
}

/** The form to try a policy with, which comes before putting it in force. */
export function tryForm({
  text,
  title,
  hindrance,
  viewer,
}: {
  readonly text: string;
  readonly title: string;
  readonly hindrance: string | undefined;
  readonly viewer: Viewer;
}): Html {
  if (hindrance !== undefined) return hindered({ id: "try", title, why: hindrance });
  return html`<form class="act" method="post" action="/ui/policies/try">
    <h2>${title}</h2>
    <p>It is tried on what is here first: nothing changes until you put it in force on the page that follows.</p>
    ${tokenField(viewer)} ${documentArea(text)}
    <p><button>Try it</button></p>
  </form>`;
}

/** The field for a policy's text. The line before it is the markup's, and not the text's. */
export function documentArea(text: string): Html {
  return html`<label for="document">The policy, in YAML or JSON</label>
    <textarea
      id="document"
      name="${DOCUMENT_FIELD}"
      rows="20"
      required
      spellcheck="false"
      autocapitalize="none"
      aria-describedby="document-hint"
    >
${text}</textarea>
    <p class="hint" id="document-hint">
      Of a page's size, some 16 000 characters: <code>securectl policy replay FILE</code> and <code>apply FILE</code> take 256 KiB.
    </p>`;
}
