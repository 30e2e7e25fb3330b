import { type Html, html } from "./html.ts";
import { type Inline, markdownInline } from "./markdown-inline.ts";
import { type Block, markdownBlocks } from "./markdown.ts";
import { bytesOf } from "./room.ts";
import { foreign, readable } from "./text.ts";

/** Where a card comes from, or why there is none. */
export type Card =
  | { readonly kind: "card"; readonly text: string; readonly from: string; readonly isCut: boolean; readonly command: string | undefined }
  | { readonly kind: "packed"; readonly layers: number; readonly command: string }
  | { readonly kind: "unreadable"; readonly from: string; readonly why: string }
  | { readonly kind: "none" };

/** Bytes of the tab besides the card. */
const ROUND_CARD = 2_500;
const MAX_SHOWN = 20_000;
/** YAML between lines of three dashes, with which Hugging Face begins a card. */
const FRONT = /^---\n(.*?)\n---(?:\n|$)/s;

/** The model card: what its publisher says of the artifact, as far as there is room (bytes) for it. */
export function cardTab(card: Card, room: number): Html {
  return html`<h2>Model card</h2>
    ${cardText(card, room)}`;
}

function cardText(card: Card, room: number): Html {
  switch (card.kind) {
    case "card":
      return shownCard(card, room - ROUND_CARD);
    case "packed":
      return html`<p class="notice">
          The documents are packed, in ${card.layers} ${card.layers === 1 ? "layer" : "layers"} of archives, and no README was found in
          them.
        </p>
        <p>Unpack them yourself: <code>${card.command}</code></p>`;
    case "unreadable":
      return html`<p class="notice">There is ${foreign(card.from)}, but ${foreign(card.why, 700)}.</p>`;
    case "none":
      return html`<p class="notice">
        It has no model card. A publisher adds a layer with the title <code>README.md</code>, such as by
        <code>oras push REPOSITORY:TAG model.gguf README.md:text/markdown</code>.
      </p>`;
  }
}

function shownCard({ text, from, isCut, command }: Extract<Card, { readonly kind: "card" }>, room: number): Html {
  let source = text.replace(/^\uFEFF/, "").replaceAll(/\r\n?/g, "\n");
  let isWhole = !isCut;
  if (source.length > MAX_SHOWN) [source, isWhole] = [source.slice(0, MAX_SHOWN), false];
  let body = cardBody(source);
  // A page has a bound, however much markup a short text makes.
  while (bytesOf(body) > room) {
    [source, isWhole] = [source.slice(0, source.length / 2), false];
    body = cardBody(source);
  }
  return html`<p class="soft">
      From ${foreign(from)}, as its publisher wrote it: nothing is decided by it. Pictures are not loaded, and HTML is text.
    </p>
    <article class="card">${body}</article>
    ${!isWhole && html`<p class="notice">This is its beginning.${command !== undefined && html` The whole of it: <code class="whole">${command}</code>`}</p>`}`;
}

/** The card as markup, made of our own elements alone. */
export function cardBody(source: string): Html {
  const front = FRONT.exec(source);
  const blocks = markdownBlocks(source.slice(front?.[0].length ?? 0));
  return html`${
    front !== null &&
    html`<details>
      <summary>Its metadata</summary>
      <pre dir="auto">${lines(front[1] ?? "")}</pre>
    </details>`
  }${blocks.map(block)}`;
}

function block(part: Block): Html {
  switch (part.kind) {
    case "heading":
      return heading(part.level, inline(markdownInline(part.text)));
    case "code":
      return html`<pre dir="auto">${lines(part.text)}</pre>`;
    case "rule":
      return html`<hr />`;
    case "quote":
      return html`<blockquote>${part.blocks.map(block)}</blockquote>`;
    case "list":
      return part.isOrdered
        ? html`<ol>
            ${part.items.map(item)}
          </ol>`
        : html`<ul>
            ${part.items.map(item)}
          </ul>`;
    case "table":
      return cardTable(part);
    case "paragraph":
      return html`<p dir="auto">${inline(markdownInline(part.text))}</p>`;
  }
}

/** Below the headings of the page. */
function heading(level: number, text: Html): Html {
  switch (level) {
    case 1:
      return html`<h3 dir="auto">${text}</h3>`;
    case 2:
      return html`<h4 dir="auto">${text}</h4>`;
    case 3:
      return html`<h5 dir="auto">${text}</h5>`;
    default:
      return html`<h6 dir="auto">${text}</h6>`;
  }
}

/** An item of one paragraph needs none. */
function item(blocks: readonly Block[]): Html {
  const [first, ...rest] = blocks;
  if (first?.kind !== "paragraph") return html`<li>${blocks.map(block)}</li>`;
  return html`<li dir="auto">${inline(markdownInline(first.text))}${rest.map(block)}</li>`;
}

function cardTable({ head, rows }: Extract<Block, { readonly kind: "table" }>): Html {
  return html`<div class="wide">
    <table>
      <thead>
        <tr>
          ${head.map((cell) => html`<th scope="col" dir="auto">${inline(markdownInline(cell))}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            html`<tr>
              ${row.map((cell) => html`<td dir="auto">${inline(markdownInline(cell))}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function inline(parts: readonly Inline[]): Html {
  return html`${parts.map(inlinePart)}`;
}

function inlinePart(part: Inline): Html | string {
  if (typeof part === "string") return whole(part);
  switch (part.kind) {
    case "code":
      return html`<code>${whole(part.text)}</code>`;
    case "strong":
      return html`<strong>${inline(part.parts)}</strong>`;
    case "emphasis":
      return html`<em>${inline(part.parts)}</em>`;
    case "image":
      return html`<span class="soft">[picture: ${whole(part.alt)}]</span>`;
    case "link":
      return html`<a href="${part.address}" rel="noopener nofollow noreferrer">${inline(part.parts)}</a>
        <span class="soft">(${part.host})</span>`;
  }
}

function whole(text: string): string {
  // All that deceives is named, so that nothing of it is cut.
  return readable(text, 4 * text.length);
}

function lines(text: string): string {
  return text
    .split("\n")
    .map((line) => whole(line.replaceAll("\t", "  ")))
    .join("\n");
}
