import { type Html, html } from "./html.ts";
import { cutAsMarkup, foreign, readable } from "./text.ts";

/** The manifest as it was pushed. */
export interface Raw {
  readonly mediaType: string;
  readonly text: string;
  readonly size: number;
  /** How the whole of it is had. */
  readonly command: string;
  /** Bytes that the page has for it. */
  readonly room: number;
}

/** Of the text, whatever it is made of. */
const MAX_SHOWN = 16_384;
/** Bytes of the tab besides the text. */
const ROUND_TEXT = 2_500;

/** The manifest as text; line ends stay, everything else that deceives is named. */
export function rawTab({ mediaType, text, size, command, room }: Raw): Html {
  const lines = text.slice(0, MAX_SHOWN).replaceAll("\t", "  ").split(/\r?\n/);
  const named = lines.map((line) => readable(line, MAX_SHOWN)).join("\n");
  const shown = cutAsMarkup(named, room - ROUND_TEXT);
  return html`<h2>Manifest</h2>
    <p>
      ${foreign(mediaType)}, ${size} bytes${(text.length > MAX_SHOWN || shown !== named) && "; this is its beginning"}. The whole of it:
      <code>${command}</code>
    </p>
    <pre>${shown}</pre>`;
}

/** In place of content that the viewer may not read. */
export function withheld(title: string, why: string): Html {
  return html`<h2>${title}</h2>
    <p class="notice">${foreign(why, 1200)}</p>`;
}
