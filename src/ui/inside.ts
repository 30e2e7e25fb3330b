import { type Html, html } from "./html.ts";
import { type ArtifactName, artifactPath, shortDigest } from "./links.ts";
import { facts, fittingRows, table } from "./table.ts";
import { foreign, grouped, sizeText } from "./text.ts";

/** What the header of a model file says, a part of it. */
export interface ShownInside {
  readonly format: string;
  readonly architecture: string | undefined;
  readonly quantization: string | undefined;
  readonly parameters: number;
  readonly tensorCount: number;
  readonly suspicions: readonly string[];
  readonly metadata: readonly { readonly key: string; readonly type: string; readonly value: string; readonly hash: string }[];
  readonly metadataCount: number;
  readonly tensors: readonly { readonly name: string; readonly type: string; readonly shape: readonly number[] }[];
}

/** What is in an archive, a part of it. */
interface ShownArchive {
  readonly files: readonly { readonly path: string; readonly size: number; readonly isModelFile: boolean }[];
  readonly isWhole: boolean;
}

/** A file that somebody looks into. */
export interface LookInside {
  readonly artifact: ArtifactName;
  readonly digest: string;
  readonly title: string | undefined;
  /** Where the one of the digest is an archive: which of its files it is, by its place in the list, and its path once that is known. */
  readonly member: number | undefined;
  readonly path?: string;
  /** Why there is nothing to show, in a sentence; or that a process is still reading it. */
  readonly inside: ShownInside | ShownArchive | { readonly why: string } | "under-way";
  /** Where the shown parts of the lists begin. */
  readonly filesFrom: number;
  readonly metadataFrom: number;
  readonly tensorsFrom: number;
  /** Bytes that the page has for it. */
  readonly room: number;
}

/** Bytes of the tab besides rows of files, or of metadata and tensors. */
const ROUND_ROWS = 9_500;
const FILE_COLUMNS = ["File", "Size"];
const METADATA_COLUMNS = ["Key", "Type", "Value"];
const TENSOR_COLUMNS = ["Name", "Type", "Shape"];
const FILE_PAGE = 50;
const METADATA_PAGE = 25;
const TENSOR_PAGE = 40;
const MAX_SUSPICIONS = 8;

/** Where the header of a file of an artifact is shown, or what is in it where it is an archive. */
export function insidePath(artifact: ArtifactName, digest: string, more = ""): string {
  return artifactPath(artifact, `contents?inside=${digest}${more}`);
}

/** Where this is shown, with another part of a list. */
function herePath({ artifact, digest, member }: LookInside, more = ""): string {
  return insidePath(artifact, digest, `${member === undefined ? "" : memberQuery(member)}${more}`);
}

function memberQuery(place: number): string {
  return `&member=${place}`;
}

/** The header of a model file: what it says of itself, its metadata and its tensors, a page of each; or the files of an archive. */
export function insideTab(look: LookInside): Html {
  const { artifact, digest, member, path, inside } = look;
  const title = path ?? look.title;
  return html`<h2>Inside ${title === undefined ? html`<code>${shortDigest(digest)}</code>` : foreign(title, 200)}</h2>
    <p>
      <a href="${artifactPath(artifact, "contents")}">All that the artifact consists of</a>${
        member !== undefined && html`, <a href="${insidePath(artifact, digest)}">all that is in its archive</a>`
      }
    </p>
    ${
      inside === "under-way"
        ? html`<p class="notice" role="status">It is being read. <a href="${herePath(look)}">Look again</a> in some seconds.</p>`
        : "why" in inside
          ? html`<p class="notice bad">It could not be read: ${foreign(inside.why, 1024)}.</p>`
          : "files" in inside
            ? fileTable(look, inside)
            : header(look, inside)
    }`;
}

function fileTable(look: LookInside, { files, isWhole }: ShownArchive): Html {
  const { artifact, digest, filesFrom: from, room } = look;
  const rows = files
    .slice(from, from + FILE_PAGE)
    .map(({ path, size, isModelFile }, at) => [
      html`${foreign(path, 200)} ${isModelFile && html`<a href="${insidePath(artifact, digest, memberQuery(from + at))}">Look inside</a>`}`,
      sizeText(size),
    ]);
  const { count } = fittingRows(FILE_COLUMNS, rows, room - ROUND_ROWS);
  return html`<p class="soft">Read from the headers of the archive. A runtime gets the archive as it is.</p>
    ${table({
      caption: captionOf("Files", { from, shown: count, total: files.length }),
      columns: FILE_COLUMNS,
      rows: rows.slice(0, count),
      empty: "The archive is empty.",
    })}
    ${pager({ from, size: FILE_PAGE, shown: count, listed: files.length, total: files.length }, (at) => herePath(look, `&files=${at}`))}
    ${!isWhole && html`<p class="soft">More is in the archive: of a large one only the beginning is unpacked and listed.</p>`}`;
}

function header(look: LookInside, inside: ShownInside): Html {
  return html`<p class="soft">
      Read from the header of the file, as whoever made it wrote it; the registry checked that it keeps the rules of the format.
    </p>
    ${facts([
      ["Format", inside.format],
      ["Architecture", inside.architecture === undefined ? "it names none" : foreign(inside.architecture)],
      ["Most weights", inside.quantization ?? "it has none"],
      ["Parameters", grouped(inside.parameters)],
      ["Tensors", grouped(inside.tensorCount)],
    ])}
    ${
      inside.suspicions.length > 0 &&
      html`<div class="notice bad">
        <p>A person should look at this:</p>
        <ul>
          ${inside.suspicions.slice(0, MAX_SUSPICIONS).map((suspicion) => html`<li>${foreign(suspicion, 200)}</li>`)}
        </ul>
      </div>`
    }
    ${metadataTable(look, inside)} ${tensorTable(look, inside)}`;
}

function metadataTable(look: LookInside, { metadata, metadataCount }: ShownInside): Html {
  const { metadataFrom: from, room } = look;
  const rows = metadata
    .slice(from, from + METADATA_PAGE)
    .map(({ key, type, value, hash }) => [
      foreign(key, 80),
      type,
      html`${foreign(value, 160)}${hash !== "" && html`<br /><span class="soft">SHA-256 of all of it: <code>${hash.slice(0, 16)}…</code></span>`}`,
    ]);
  const { count } = fittingRows(METADATA_COLUMNS, rows, (room - ROUND_ROWS) / 2);
  return html`${table({
    caption: captionOf("Metadata", { from, shown: count, total: metadataCount }),
    columns: METADATA_COLUMNS,
    rows: rows.slice(0, count),
    empty: "The file has no metadata.",
  })}
  ${pager({ from, size: METADATA_PAGE, shown: count, listed: metadata.length, total: metadataCount }, (at) => herePath(look, `&metadata=${at}`))}`;
}

function tensorTable(look: LookInside, { tensors, tensorCount }: ShownInside): Html {
  const { tensorsFrom: from, room } = look;
  const rows = tensors
    .slice(from, from + TENSOR_PAGE)
    .map(({ name, type, shape }) => [foreign(name, 100), type, shape.length === 0 ? "scalar" : shape.join(" × ")]);
  const { count } = fittingRows(TENSOR_COLUMNS, rows, (room - ROUND_ROWS) / 2);
  return html`${table({
    caption: captionOf("Tensors", { from, shown: count, total: tensorCount }),
    columns: TENSOR_COLUMNS,
    rows: rows.slice(0, count),
    empty: "The file has no tensors.",
  })}
  ${pager({ from, size: TENSOR_PAGE, shown: count, listed: tensors.length, total: tensorCount }, (at) => herePath(look, `&tensors=${at}`))}`;
}

function captionOf(
  what: string,
  { from, shown, total }: { readonly from: number; readonly shown: number; readonly total: number },
): string {
  return shown === total ? `${what}: ${grouped(total)}` : `${what} ${from + 1} to ${from + shown} of ${grouped(total)}`;
}

interface Place {
  readonly from: number;
  readonly size: number;
  readonly shown: number;
  readonly listed: number;
  readonly total: number;
}

function pager({ from, size, shown, listed, total }: Place, pathOf: (from: number) => string): Html {
  const next = from + shown;
  return html`${from > 0 && html`<p><a rel="prev" href="${pathOf(Math.max(0, from - size))}">Earlier ones</a></p>`}
  ${next < listed && html`<p><a rel="next" href="${pathOf(next)}">Next ones</a></p>`}
  ${next >= listed && listed < total && html`<p class="soft">${grouped(total - listed)} more are in the file: no more are listed.</p>`}`;
}
