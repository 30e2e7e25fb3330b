import { type Html, html } from "./html.ts";
import { type ArtifactName, artifactPath, digestLink, shortDigest } from "./links.ts";
import { bytesOf } from "./room.ts";
import { fittingRows, table } from "./table.ts";
import { foreign, sizeText } from "./text.ts";

/** What became of a file. */
interface ShownFileChange {
  readonly path: string;
  readonly change: "added" | "removed" | "changed" | "renamed";
  readonly from: { readonly path: string; readonly digest: string; readonly size: number } | undefined;
  readonly to: { readonly path: string; readonly digest: string; readonly size: number } | undefined;
  /** Are both model files whose headers can be compared? */
  readonly isComparable: boolean;
}

/** What became of something with a name; undefined where it is not there. */
interface ShownValueChange {
  readonly name: string;
  readonly from: string | undefined;
  readonly to: string | undefined;
}

/** Part of a list of differences. */
interface Part<T> {
  readonly shown: readonly T[];
  readonly total: number;
}

/** The headers of two model files, compared. */
interface InsideChanges {
  readonly path: string;
  readonly tensors: Part<ShownValueChange>;
  readonly metadata: Part<ShownValueChange>;
  /** False when there are more tensors or entries than are compared. */
  readonly isComplete: boolean;
}

/** An artifact compared to what is trusted. */
export interface Changes {
  readonly artifact: ArtifactName;
  /** What it is compared to, and the tag by which runtimes find that. */
  readonly base: ArtifactName;
  readonly tag: string | undefined;
  readonly files: Part<ShownFileChange> & {
    readonly from: number;
    readonly alike: number;
    readonly counts: ChangeCounts;
    readonly fromBytes: number;
    readonly toBytes: number;
  };
  readonly annotations: Part<ShownValueChange>;
  /** Why the headers cannot be compared, or that they are still being read. */
  readonly inside: InsideChanges | { readonly why: string } | "under-way" | undefined;
  /** Bytes that the page has for it. */
  readonly room: number;
  /** Whose evidence counts; undefined for who may not ask what a promotion would decide. */
  readonly signers: { readonly gained: readonly string[]; readonly lost: readonly string[]; readonly same: readonly string[] } | undefined;
}

/** How many files became what. */
type ChangeCounts = Readonly<Record<ShownFileChange["change"], number>>;

/** In place of a comparison. */
export type NoChanges = { readonly why: string };

const MAX_SIGNERS = 8;
const FILE_COLUMNS = ["File", "What became of it", "Now trusted", "Here"];
const VALUE_COLUMNS = ["Name", "Now trusted", "Here"];
/** Bytes of the tab besides rows and signers. */
const ROUND_TABLES = 4_500;

/** What is different to what is trusted now. */
export function changesTab(changes: Changes | NoChanges): Html {
  return html`<h2>Changes</h2>
    ${"why" in changes ? html`<p class="notice">${foreign(changes.why, 700)}</p>` : compared(changes)}`;
}

function compared(changes: Changes): Html {
  const { base, tag, files, annotations } = changes;
  const signers = signersText(changes);
  const inside = insideText(changes, (changes.room - ROUND_TABLES) / 4);
  const noted = valueTable("Annotations that differ", annotations, {
    empty: "All annotations of the manifest are alike.",
    room: (changes.room - ROUND_TABLES) / 8,
  });
  const room = changes.room - ROUND_TABLES - bytesOf(signers) - bytesOf(inside) - bytesOf(noted);
  return html`<p>
      Compared to ${digestLink(base, shortDigest(base.digest))},
      ${tag === undefined ? "the artifact of this repository that became trusted last" : html`which runtimes find by the tag <strong>${tag}</strong> now`}.
    </p>
    <p><strong>${summaryOf(files.counts, files)}</strong></p>
    ${signers} ${fileTable(changes, room)} ${noted} ${inside}`;
}

/** The difference of files in one line. */
export function summaryOf(
  counts: ChangeCounts,
  { alike, fromBytes, toBytes }: { readonly alike: number; readonly fromBytes: number; readonly toBytes: number },
): string {
  const parts = (["added", "removed", "changed", "renamed"] as const).flatMap((change) =>
    counts[change] === 0 ? [] : [`${counts[change]} ${change}`],
  );
  const grown = toBytes - fromBytes;
  const size = grown === 0 ? "the same size" : `${sizeText(Math.abs(grown))} ${grown > 0 ? "more" : "less"}`;
  if (parts.length === 0) return `the same ${alike === 1 ? "file" : `${alike} files`}`;
  return `${parts.join(", ")}, ${alike} alike; ${size}`;
}

function fileTable({ artifact, files }: Changes, room: number): Html {
  const { shown, total, from } = files;
  const rows = shown.map((change) => [
    html`${change.path === "" ? "without a name" : foreign(change.path, 80)}
    ${
      change.isComparable &&
      change.to !== undefined &&
      html`<a href="${artifactPath(artifact, `changes?inside=${change.to.digest}`)}">Compare tensors</a>`
    }`,
    changeWord(change),
    fileText(change.from),
    fileText(change.to),
  ]);
  const { count } = fittingRows(FILE_COLUMNS, rows, room);
  const next = from + count;
  return html`${table({
    caption: total > count ? `Files that differ, ${from + 1} to ${next} of ${total}` : "Files that differ",
    columns: FILE_COLUMNS,
    rows: rows.slice(0, count),
    empty: "All files are alike.",
  })}
  ${next < total && html`<p><a rel="next" href="${artifactPath(artifact, `changes?from=${next}`)}">Next files</a></p>`}`;
}

function changeWord({ change, from }: ShownFileChange): Html | string {
  return change === "renamed" && from !== undefined ? html`was ${foreign(from.path, 80)}` : change;
}

function fileText(file: ShownFileChange["from"]): Html | string {
  return file === undefined ? "" : html`${sizeText(file.size)} <code>${shortDigest(file.digest)}</code>`;
}

function valueTable(
  caption: string,
  { shown, total }: Part<ShownValueChange>,
  { empty, room }: { readonly empty: string; readonly room: number },
): Html {
  const rows = shown.map(({ name, from, to }) => [foreign(name, 60), valueText(from), valueText(to)]);
  const { count } = fittingRows(VALUE_COLUMNS, rows, room);
  return table({
    caption: total > count ? `${caption}: the first ${count} of ${total}` : caption,
    columns: VALUE_COLUMNS,
    rows: rows.slice(0, count),
    empty,
  });
}

function valueText(value: string | undefined): Html {
  return value === undefined ? html`<span class="soft">not there</span>` : foreign(value, 60);
}

function insideText({ artifact, inside }: Changes, room: number): Html {
  if (inside === undefined) return html``;
  if (inside === "under-way")
    return html`<p class="notice" role="status">
      Headers of model files are being read: <a href="${artifactPath(artifact, "changes")}">look again</a> in some seconds.
    </p>`;
  if ("why" in inside) return html`<p class="notice">The headers of the model files were not compared: ${foreign(inside.why, 700)}.</p>`;
  return html`<h3>Inside ${foreign(inside.path, 80)}</h3>
    ${valueTable("Tensors that differ by name, type or shape", inside.tensors, {
      empty: "All tensors have the same names, types and shapes.",
      room,
    })}
    ${valueTable("Metadata that differ", inside.metadata, { empty: "All metadata are alike.", room })}
    ${!inside.isComplete && html`<p class="soft">The files hold more than the ten thousand tensors and five hundred entries of metadata that are compared here.</p>`}
    <p class="soft">The values of tensors are not compared here: other values make it another file above.</p>`;
}

function signersText({ signers }: Changes): Html {
  if (signers === undefined) return html``;
  const { gained, lost, same } = signers;
  if (gained.length + lost.length + same.length === 0) return html`<p>No policy takes evidence of anybody, of neither of them.</p>`;
  return html`<h3>Whose evidence counts</h3>
    <dl>${signerList("Only here", gained)}${signerList("Only of what is trusted now", lost)}${signerList("Of both", same)}</dl>`;
}

function signerList(title: string, all: readonly string[]): Html | false {
  if (all.length === 0) return false;
  return html`<dt>${title}</dt>
    <dd>
      <ul>
        ${all.slice(0, MAX_SIGNERS).map((signer) => html`<li>${foreign(signer, 120)}</li>`)}
        ${all.length > MAX_SIGNERS && html`<li>and ${all.length - MAX_SIGNERS} more</li>`}
      </ul>
    </dd>`;
}
