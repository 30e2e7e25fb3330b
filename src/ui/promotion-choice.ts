import { type Html, html } from "./html.ts";
import { type ArtifactName, artifactPath, shortDigest } from "./links.ts";
import { andMore } from "./room.ts";
import { foreign } from "./text.ts";

/** What a person chooses of a promotion: tags that are promoted elsewhere, and what it covers besides evidence. */
export interface PromotionChoice {
  readonly tags: readonly string[];
  readonly covers: readonly string[];
  /** What is attached and no evidence, and so covered when it is named alone. */
  readonly coverable: readonly { readonly digest: string; readonly type: string }[];
  /** Why what was chosen cannot be. */
  readonly fault: string | undefined;
}

/** The fields of a choice, each as often as something is chosen. */
export const TAG_FIELD = "tag";
export const COVER_FIELD = "cover";

/** Tags, and other attachments, that a page offers and takes. */
export const MAX_OFFERED = 10;

/** What the promotion that is shown would move and cover, and the form to choose otherwise; it changes nothing, but shows another decision. */
export function choiceForm(
  artifact: ArtifactName,
  { tags, covers, coverable, fault }: PromotionChoice,
  decision: { readonly covers: readonly string[]; readonly tags: { readonly moves: readonly string[]; readonly stays: readonly string[] } },
): Html {
  const offered = [...new Set([...tags, ...decision.tags.stays])];
  const isChosen = ({ digest }: { readonly digest: string }): boolean => covers.includes(digest);
  const attached = [
    ...coverable.filter(isChosen),
    ...coverable.filter((each) => !isChosen(each) && !decision.covers.includes(each.digest)),
  ];
  const said = html`<p>
      It moves ${decision.tags.moves.length === 0 ? "no tag" : `the tags ${listOf(decision.tags.moves)}`}, and covers the artifact with all
      that it holds and ${decision.covers.length} ${decision.covers.length === 1 ? "referrer" : "referrers"}.
    </p>
    ${fault !== undefined && html`<p class="notice bad" role="alert">${foreign(fault, 700)}</p>`}`;
  if (offered.length + attached.length === 0) return said;
  return html`${said}
    <form method="get" action="${artifactPath(artifact, "trust")}">
      ${
        offered.length > 0 &&
        html`<fieldset>
          <legend>Tags that runtimes find elsewhere now, to be moved here</legend>
          ${offered.slice(0, MAX_OFFERED).map((tag) => box({ name: TAG_FIELD, value: tag, isChosen: tags.includes(tag) }, html`${tag}`))}
        </fieldset>`
      }
      ${
        attached.length > 0 &&
        html`<fieldset>
          <legend>Attached and no evidence: covered only when it is chosen</legend>
          ${attached
            .slice(0, MAX_OFFERED)
            .map(({ digest, type }) =>
              box(
                { name: COVER_FIELD, value: digest, isChosen: covers.includes(digest) },
                html`<code>${shortDigest(digest)}</code> ${foreign(type, 80)}`,
              ),
            )}
        </fieldset>`
      }
      ${andMore(beyond(offered) + beyond(attached), html`<code>securectl promote</code> takes any of them`)}
      <p><button>Show what a promotion with these would decide</button></p>
    </form>`;
}

function beyond(all: readonly unknown[]): number {
  return Math.max(0, all.length - MAX_OFFERED);
}

function box({ name, value, isChosen }: { readonly name: string; readonly value: string; readonly isChosen: boolean }, label: Html): Html {
  return html`<label class="beside"
    ><input type="checkbox" name="${name}" value="${value}" ${isChosen && html`checked`} /> ${label}</label
  >`;
}

function listOf(tags: readonly string[]): string {
  const more = tags.length - MAX_OFFERED;
  return tags.slice(0, MAX_OFFERED).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** The choice that was shown, for the form that acts on it. */
export function chosenFields({ tags, covers }: PromotionChoice): Html {
  const chosen = [...tags.map((tag) => [TAG_FIELD, tag]), ...covers.map((digest) => [COVER_FIELD, digest])];
  return html`${chosen.map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}" />`)}`;
}

/** Below the page of an artifact: where the decision with a choice is shown. */
export function choiceQuery({ tags, covers }: Pick<PromotionChoice, "tags" | "covers">): string {
  const query = new URLSearchParams([...tags.map((tag) => [TAG_FIELD, tag]), ...covers.map((digest) => [COVER_FIELD, digest])]);
  return query.toString();
}
