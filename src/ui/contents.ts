import type { State } from "../lifecycle/state.ts";
import { type Html, html } from "./html.ts";
import { insidePath } from "./inside.ts";
import { type ArtifactName, artifactPath, digestLink, shortDigest } from "./links.ts";
import { stateBadge } from "./state.ts";
import { fitting } from "./room.ts";
import { facts, fittingRows, table } from "./table.ts";
import { foreign, sizeText } from "./text.ts";

/** An entry of a manifest. */
export interface ManifestEntry {
  readonly role: "config" | "layer" | "blob" | "manifest";
  readonly digest: string;
  readonly mediaType: string;
  readonly size: number;
  /** The file name that it is given. */
  readonly title: string | undefined;
  /** Is it a model file whose header can be read, or an archive whose files can be listed? */
  readonly hasInside: boolean;
  /** Of a manifest that the viewer may see. */
  readonly state: State | undefined;
}

/** A part of what a manifest holds. */
export interface Contents {
  readonly artifact: ArtifactName;
  readonly entries: readonly ManifestEntry[];
  /** Where the part begins, and how many entries there are. */
  readonly from: number;
  readonly total: number;
  readonly annotations: readonly (readonly [string, string])[];
  readonly moreAnnotations: number;
  /** Bytes that the page has for it. */
  readonly room: number;
}

const COLUMNS = ["What", "File", "Type", "Size", "Digest"];
/** Bytes of the tab besides entries and annotations. */
const ROUND_LISTS = 3_000;
/** Of the room, for annotations at least. */
const FOR_ANNOTATIONS = 1 / 4;

/** What an artifact consists of. */
export function contentsTab({ artifact, entries, from, total, annotations, moreAnnotations, room: all }: Contents): Html {
  const room = all - ROUND_LISTS;
  const rows = entries.map((entry) => row(artifact, entry));
  const { count, left } = fittingRows(COLUMNS, rows, room * (1 - FOR_ANNOTATIONS));
  const next = from + count;
  const said = annotations.map(([key, value]) => [foreign(key, 120), foreign(value)] as const);
  const shown = fitting(
    said.values().map((each) => facts([each])),
    left + room * FOR_ANNOTATIONS,
  ).count;
  const more = moreAnnotations + annotations.length - shown;
  return html`<h2>Contents</h2>
    ${table({
      caption: total > count ? `Entries ${from + 1} to ${next} of ${total}` : "What its manifest names",
      columns: COLUMNS,
      rows: rows.slice(0, count),
      empty: "Its manifest names nothing.",
    })}
    ${next < total && html`<p><a rel="next" href="${artifactPath(artifact, `contents?from=${next}`)}">Next entries</a></p>`}
    <h3>Annotations</h3>
    <p class="soft">Written by whoever pushed it; nothing is decided by them.</p>
    ${shown + more === 0 ? html`<p>None.</p>` : facts(said.slice(0, shown))}
    ${more > 0 && html`<p>${more} more are in the manifest, which the tab Raw shows.</p>`}`;
}

function row(artifact: ArtifactName, entry: ManifestEntry): readonly (string | Html)[] {
  const { role, digest, mediaType, size, title, hasInside, state } = entry;
  const isSeen = state !== undefined;
  return [
    html`${role} ${isSeen && stateBadge(state)}`,
    html`${title !== undefined && foreign(title)} ${hasInside && html`<a href="${insidePath(artifact, digest)}">Look inside</a>`}`,
    foreign(mediaType, 120),
    sizeText(size),
    isSeen ? digestLink({ repository: artifact.repository, digest }, shortDigest(digest)) : html`<code>${shortDigest(digest)}</code>`,
  ];
}
