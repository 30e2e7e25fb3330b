import { type Html, html } from "./html.ts";

/** Bytes that a page has at most. */
const PAGE = 50_000;
/** Of these, what stands around a page's own content: the frame, with names and tokens of the longest. */
const FRAME = 4_000;

/** Bytes that a piece of a page takes. */
export function bytesOf(piece: Html): number {
  return Buffer.byteLength(piece.toString());
}

/** The bytes that are left for a page's own content beside other pieces of it. */
export function roomBeside(...pieces: readonly Html[]): number {
  return pieces.reduce((room, piece) => room - bytesOf(piece), PAGE - FRAME);
}

/** Those of a list that have room together, as they are shown; the first ones, and what of the room they leave. */
export interface Fitting {
  readonly count: number;
  readonly left: number;
}

/** How many of a list there is room for (bytes), as each of them is shown. */
export function fitting(pieces: Iterable<Html>, room: number): Fitting {
  let [count, left] = [0, room];
  for (const piece of pieces) {
    const bytes = bytesOf(piece);
    if (bytes > left) break;
    left -= bytes;
    count += 1;
  }
  return { count, left };
}

/** What is said of those that have no room, and where they are; nothing where all have. */
export function andMore(left: number, where: string | Html): Html | false {
  return left > 0 && html`<p class="notice">And ${left} more, for which this page has no room: ${where}.</p>`;
}
