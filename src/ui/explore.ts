import { MODEL_FORMATS } from "../oci/model-name.ts";
import { STATES, type State } from "../lifecycle/state.ts";
import { type Html, html } from "./html.ts";
import { digestLink, shortDigest } from "./links.ts";
import { stateBadge } from "./state.ts";
import { table } from "./table.ts";
import { foreign, moment, readable, sizeText } from "./text.ts";
import { typeWords } from "./type-name.ts";

/** An artifact in a list. */
export interface ListedArtifact {
  readonly repository: string;
  readonly digest: string;
  readonly tags: readonly string[];
  readonly type: string;
  readonly state: State;
  readonly size: number;
  /** RFC 3339. */
  readonly changedAt: string;
}

/** What is looked for, as it was typed. */
export interface SearchFields {
  readonly name: string;
  readonly digest: string;
  readonly state: string;
  readonly type: string;
  readonly format: string;
  readonly signer: string;
  readonly verdict: string;
}

/** A signer that the text of a search may mean. */
interface PossibleSigner {
  readonly hash: string;
  readonly words: string;
}

/** A page of what was found. */
export interface Found {
  readonly fields: SearchFields;
  readonly artifacts: readonly ListedArtifact[];
  /** Where the next page begins; null on the last one. */
  readonly next: string | null;
  /** Those whom the signer that was typed may mean, where it is not one alone. */
  readonly signers: readonly PossibleSigner[];
  /** Why nothing could be looked for. */
  readonly fault: string | undefined;
}

/** What the last decision about an artifact can be. */
export const VERDICTS = ["allowed", "refused"] as const;

/** Tags that a list shows of an artifact. */
const MAX_TAGS = 3;

/** The page to look for artifacts on. */
export function explorePage({ fields, artifacts, next, fault, signers }: Found): Html {
  return html`<h1>Explore</h1>
    ${searchForm(fields)} ${fault !== undefined && html`<p class="notice bad" role="alert">${fault}</p>`}
    ${signers.length > 0 && signersText(fields, signers)}
    ${
      fault === undefined &&
      signers.length === 0 &&
      table({
        caption: "Artifacts that you may see, by repository and digest",
        columns: ["Repository", "Digest", "State", "Tags", "Type", "Size", "Changed"],
        rows: artifacts.map(row),
        empty: emptyText(fields, next),
      })
    }
    ${next !== null && html`<p><a href="${pathOf(fields, next)}" rel="next">${artifacts.length === 0 ? "Look further" : "Next page"}</a></p>`}`;
}

function searchForm({ name, digest, state, type, format, signer, verdict }: SearchFields): Html {
  return html`<form method="get" action="/ui/explore" role="search" class="filters">
    <div>
      <label for="name">Name begins with</label>
      <input id="name" name="name" value="${name}" maxlength="255" autocapitalize="none" spellcheck="false" />
    </div>
    <div>
      <label for="digest">Digest begins with</label>
      <input id="digest" name="digest" value="${digest}" maxlength="71" autocapitalize="none" spellcheck="false" />
    </div>
    <div>
      <label for="state">State</label>
      <select id="state" name="state">
        <option value="">any</option>
        ${STATES.map((each) => html`<option value="${each}" ${each === state && html`selected`}>${each}</option>`)}
      </select>
    </div>
    <div>
      <label for="type">Type contains</label>
      <input id="type" name="type" value="${type}" maxlength="255" autocapitalize="none" spellcheck="false" />
    </div>
    ${choice("format", "Format", MODEL_FORMATS, format)} ${choice("verdict", "Last decision", VERDICTS, verdict)}
    <div>
      <label for="signer">Signed by</label>
      <input id="signer" name="signer" value="${signer}" maxlength="255" autocapitalize="none" spellcheck="false" />
    </div>
    <p><button>Search</button></p>
  </form>`;
}

function choice(name: string, label: string, all: readonly string[], chosen: string): Html {
  return html`<div>
    <label for="${name}">${label}</label>
    <select id="${name}" name="${name}">
      <option value="">any</option>
      ${all.map((each) => html`<option value="${each}" ${each === chosen && html`selected`}>${each}</option>`)}
    </select>
  </div>`;
}

function signersText(fields: SearchFields, signers: readonly PossibleSigner[]): Html {
  return html`<p class="notice">Whom do you mean?</p>
    <ul>
      ${signers.map(({ hash, words }) => html`<li><a href="${pathOf({ ...fields, signer: hash })}">${foreign(words, 200)}</a></li>`)}
    </ul>`;
}

function row({ repository, digest, tags, type, state, size, changedAt }: ListedArtifact): readonly (string | Html)[] {
  const more = tags.length > MAX_TAGS ? ` and ${tags.length - MAX_TAGS} more` : "";
  return [
    repository,
    digestLink({ repository, digest }, shortDigest(digest)),
    stateBadge(state),
    tags.length === 0 ? "none" : tags.slice(0, MAX_TAGS).join(", ") + more,
    typeWords(type, 60),
    html`<span class="short">${sizeText(size)}</span>`,
    moment(changedAt),
  ];
}

function emptyText(fields: SearchFields, next: string | null): Html {
  if (next !== null) return html`<span>Nothing among those that were looked at so far. Look further, or say more of the name.</span>`;
  const isFiltered = Object.values(fields).some((value) => value !== "");
  if (isFiltered)
    return html`<span
      >Nothing that you may see fits. Take something away from the search, or <a href="/ui/explore">show everything</a>.</span
    >`;
  return html`<span
    >There is nothing that you may see yet. A publisher begins with <code>securectl push FILE models/NAME:TAG</code>; a reader sees what was
    promoted.</span
  >`;
}

function pathOf(fields: SearchFields, cursor?: string): string {
  const query = new URLSearchParams(Object.entries(fields).filter(([, value]) => value !== ""));
  if (cursor !== undefined) query.set("cursor", cursor);
  return `/ui/explore?${query.toString()}`;
}

/** What is typed into a search, as it may be shown again. */
export function searchFields(field: (name: string) => string | undefined): SearchFields {
  const text = (name: string): string => readable(field(name) ?? "", 255);
  const [name, digest, state, type] = [text("name"), text("digest"), text("state"), text("type")];
  return { name, digest, state, type, format: text("format"), signer: text("signer"), verdict: text("verdict") };
}
