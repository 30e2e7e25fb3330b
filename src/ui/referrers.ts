import { type Html, html } from "./html.ts";
import { type ArtifactName, artifactPath, digestLink, shortDigest } from "./links.ts";
import { table } from "./table.ts";
import { foreign, sizeText } from "./text.ts";
import { typeText } from "./type-name.ts";

/** Something that is attached to an artifact. */
export interface Referrer {
  readonly digest: string;
  readonly type: string;
  readonly size: number;
  /** What its annotations say it is, in a few words. */
  readonly says: string;
  readonly standing: "the registry's statement" | "covered" | "attached later";
}

/** A page of what is attached; `next` is where the next one begins. */
export function referrersTab(artifact: ArtifactName, referrers: readonly Referrer[], next: string | undefined): Html {
  return html`<h2>Referrers</h2>
    <p class="soft">
      Signatures, attestations, bills of materials, and the registry's own statements. What was attached after the last promotion stays
      hidden from readers.
    </p>
    ${table({
      caption: "What is attached to it and you may see",
      columns: ["Digest", "Type", "Standing", "Says", "Size"],
      rows: referrers.map(({ digest, type, size, says, standing }) => [
        standing === "the registry's statement"
          ? html`<code>${shortDigest(digest)}</code>`
          : digestLink({ repository: artifact.repository, digest }, shortDigest(digest)),
        typeText(type, 120),
        standing,
        foreign(says, 200),
        sizeText(size),
      ]),
      empty: html`Nothing that you may see. Signers attach evidence with cosign, notation or any OCI client, before the artifact is
      promoted.`,
    })}
    ${next !== undefined && html`<p><a rel="next" href="${artifactPath(artifact, `referrers?last=${encodeURIComponent(next)}`)}">Next page</a></p>`}`;
}
