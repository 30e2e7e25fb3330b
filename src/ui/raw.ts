import { type Html, html } from "./html.ts";
import { readable } from "./text.ts";

/** The manifest as it was pushed. */
export interface Raw {
  readonly mediaType: string;
  readonly text: string;
  readonly size: number;
  /** How the whole of it is had. */
  readonly command: string;
}

/** A page has a bound. */
const MAX_SHOWN = 16_384;

/** The manifest as text; line ends stay, everything else that deceives is named. */
export function rawTab({ mediaType, text, size, command }: Raw): Html {
  const lines = text.slice(0, MAX_SHOWN).replaceAll("\t", "  ").split(/\r?\n/);
  return html`<h2>Manifest</h2>
    <p>
      <bdi>${readable(mediaType)}</bdi>, ${size} bytes${text.length > MAX_SHOWN && `; the first ${MAX_SHOWN} characters`}. The whole of it:
      <code>${command}</code>
    </p>
    <pre>${lines.map((line) => readable(line, MAX_SHOWN)).join("\n")}</pre>`;
}

/** In place of content that the viewer may not read. */
export function withheld(title: string, why: string): Html {
  return html`<h2>${title}</h2>
    <p class="notice">${readable(why, 1200)}</p>`;
}
