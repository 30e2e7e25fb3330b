import { type Html, type Part, html } from "./html.ts";

/** A table with its caption. The first cell of a row is its header. */
export interface Table {
  readonly caption: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Part[])[];
  /** What to say, and what to do next, where there is no row. */
  readonly empty: Part;
}

/** A table, or what to do where it would be empty. */
export function table({ caption, columns, rows, empty }: Table): Html {
  if (rows.length === 0) return html`<p class="notice">${empty}</p>`;
  return html`<div class="wide" role="region" aria-label="${caption}" tabindex="0">
    <table>
      <caption>
        ${caption}
      </caption>
      <thead>
        <tr>
          ${columns.map((column) => html`<th scope="col">${column}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            html`<tr>
              ${row.map((cell, at) => (at === 0 ? html`<th scope="row">${cell}</th>` : html`<td>${cell}</td>`))}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
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
