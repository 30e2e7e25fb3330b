import { type Html, type Part, html } from "./html.ts";
import { type Fitting, fitting } from "./room.ts";

/** A table with its caption. The first cell of a row is its header. */
export interface Table {
  readonly caption: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Part[])[];
  /** What to say, and what to do next, where there is no row. */
  readonly empty: Part;
  /** Does it stay a table on a narrow screen, and scroll? So do numbers that are compared from row to row. */
  readonly scrolls?: boolean;
}

/**
 * A table, or what to do where it would be empty. On a narrow screen each row becomes a list with the names of its columns (`stack`), unless
 * it scrolls; the roles are written out since some browsers forget what a table is that is not laid out as one.
 */
export function table({ caption, columns, rows, empty, scrolls = false }: Table): Html {
  if (rows.length === 0) return html`<p class="notice">${empty}</p>`;
  const head = columns.map((column) => html`<th role="columnheader" scope="col">${column}</th>`);
  const made = html`<table role="table" ${!scrolls && html`class="stack"`}>
    <caption>
      ${caption}
    </caption>
    <thead role="rowgroup">
      <tr role="row">
        ${head}
      </tr>
    </thead>
    <tbody role="rowgroup">
      ${rows.map((row) => rowOf(columns, row))}
    </tbody>
  </table>`;
  return scrolls ? html`<div class="wide" role="region" aria-label="${caption}" tabindex="0">${made}</div>` : made;
}

/** How many of the rows there is room for (bytes). */
export function fittingRows(columns: Table["columns"], rows: Table["rows"], room: number): Fitting {
  return fitting(
    rows.values().map((row) => rowOf(columns, row)),
    room,
  );
}

function rowOf(columns: Table["columns"], row: Table["rows"][number]): Html {
  return html`<tr role="row">
    ${row.map((cell, at) => cellOf(cell, at, columns[at] ?? ""))}
  </tr>`;
}

function cellOf(cell: Part, at: number, column: string): Html {
  if (at === 0) return html`<th role="rowheader" scope="row">${cell}</th>`;
  return html`<td role="cell" data-label="${column}">${cell}</td>`;
}

/** Terms and what is said of them. */
export function facts(entries: readonly (readonly [Part, Part])[]): Html {
  return html`<dl>
    ${entries.map(
      ([term, said]) =>
        html`<dt>${term}</dt>
          <dd>${said}</dd>`,
    )}
  </dl>`;
}
