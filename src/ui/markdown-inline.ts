/** A part of a line in Markdown; a string is plain text. */
export type Inline =
  | string
  | { readonly kind: "code"; readonly text: string }
  | { readonly kind: "strong" | "emphasis"; readonly parts: readonly Inline[] }
  /** `host` is what people are shown of where it leads: in ASCII, so that no letter looks like another one. */
  | { readonly kind: "link"; readonly address: string; readonly host: string; readonly parts: readonly Inline[] }
  | { readonly kind: "image"; readonly alt: string };

/** Beyond it a line is plain text (UTF-16 code units). */
const MAX_LINE = 4_000;
/** How far the other end of something is looked for. */
const MAX_SPAN = 1_000;
const MAX_DEPTH = 3;
const MAX_ADDRESS = 500;

const SPECIAL = /[\\`*_![<]/g;
const IMAGE = /!\[([^\]]{0,300})\]\([^()]{0,2000}\)/y;
const TARGET = /\(\s{0,4}([^\s()<>"]{1,500}(?:\([^\s()<>"]{0,100}\)[^\s()<>"]{0,300})?)(?:\s{1,4}"[^"]{0,200}")?\s{0,4}\)/y;
const AUTOLINK = /<(https:\/\/[^\s<>"]{1,500})>/y;
const PUNCTUATION = /[!-/:-@[-`{-~]/;
const WORD = /[\p{L}\p{N}]/u;

/** Reads emphasis, code, links to other sites by https, and images, which are never loaded. All else is text. */
export function markdownInline(text: string): readonly Inline[] {
  const parts = parse(text.slice(0, MAX_LINE), 0);
  return text.length > MAX_LINE ? [...parts, text.slice(MAX_LINE)] : parts;
}

interface Found {
  readonly part: Inline;
  /** Where it ends. */
  readonly end: number;
}

function parse(text: string, depth: number): readonly Inline[] {
  const parts: Inline[] = [];
  let plain = 0;
  SPECIAL.lastIndex = 0;
  for (let at = nextSpecial(text, 0); at < text.length;) {
    const found = inlineAt(text, at, depth);
    if (found !== undefined) {
      if (at > plain) parts.push(text.slice(plain, at));
      parts.push(found.part);
      plain = found.end;
    }
    at = nextSpecial(text, found?.end ?? at + runOf(text, at));
  }
  if (plain < text.length) parts.push(text.slice(plain));
  return parts;
}

function nextSpecial(text: string, from: number): number {
  SPECIAL.lastIndex = from;
  return SPECIAL.exec(text)?.index ?? text.length;
}

/** Of backticks and stars that begin nothing, all are passed over at once. */
function runOf(text: string, at: number): number {
  let end = at + 1;
  while (end < text.length && text[end] === text[at]) end += 1;
  return end - at;
}

type Reader = (text: string, at: number, depth: number) => Found | undefined;

const READERS: ReadonlyMap<string, Reader> = new Map([
  ["\\", escaped],
  ["`", code],
  ["!", image],
  ["[", link],
  ["<", autolink],
  ["*", emphasis],
  ["_", emphasis],
]);

function inlineAt(text: string, at: number, depth: number): Found | undefined {
  return READERS.get(text[at] ?? "")?.(text, at, depth);
}

function escaped(text: string, at: number): Found | undefined {
  const character = text[at + 1] ?? "";
  return PUNCTUATION.test(character) ? { part: character, end: at + 2 } : undefined;
}

function code(text: string, at: number): Found | undefined {
  const fence = "`".repeat(runOf(text, at));
  const start = at + fence.length;
  const end = text.slice(start, start + MAX_SPAN).indexOf(fence);
  return end < 0 ? undefined : { part: { kind: "code", text: text.slice(start, start + end).trim() }, end: start + end + fence.length };
}

function image(text: string, at: number): Found | undefined {
  IMAGE.lastIndex = at;
  const match = IMAGE.exec(text);
  return match === null ? undefined : { part: { kind: "image", alt: match[1] ?? "" }, end: IMAGE.lastIndex };
}

function link(text: string, at: number, depth: number): Found | undefined {
  const close = depth < MAX_DEPTH ? closingBracket(text, at) : undefined;
  if (close === undefined) return undefined;
  TARGET.lastIndex = close + 1;
  const [, address = ""] = TARGET.exec(text) ?? [];
  const end = TARGET.lastIndex;
  const host = hostOf(address);
  // Within a link there is none.
  const parts = host === undefined ? [] : withoutLinks(parse(text.slice(at + 1, close), depth + 1));
  return host === undefined ? undefined : { part: { kind: "link", address, host, parts }, end };
}

function withoutLinks(parts: readonly Inline[]): readonly Inline[] {
  return parts.flatMap((part) => {
    if (typeof part === "string" || part.kind === "code" || part.kind === "image") return [part];
    return part.kind === "link" ? withoutLinks(part.parts) : [{ ...part, parts: withoutLinks(part.parts) }];
  });
}

function closingBracket(text: string, at: number): number | undefined {
  let open = 0;
  for (let end = at; end < Math.min(text.length, at + MAX_SPAN); end += 1) {
    if (text[end] === "\\") end += 1;
    else if (text[end] === "[") open += 1;
    else if (text[end] === "]") open -= 1;
    if (open === 0) return end;
  }
  return undefined;
}

function autolink(text: string, at: number): Found | undefined {
  AUTOLINK.lastIndex = at;
  const [, address = ""] = AUTOLINK.exec(text) ?? [];
  const host = hostOf(address);
  return host === undefined ? undefined : { part: { kind: "link", address, host, parts: [address] }, end: AUTOLINK.lastIndex };
}

/** The host of an address that may be a link: https, and nothing before the host that would look like one. */
function hostOf(address: string): string | undefined {
  if (address.length > MAX_ADDRESS || !/^https:\/\/[!-~]+$/i.test(address) || !URL.canParse(address)) return undefined;
  const { protocol, host, username, password } = new URL(address);
  return protocol === "https:" && username === "" && password === "" ? host : undefined;
}

function emphasis(text: string, at: number, depth: number): Found | undefined {
  const mark = text[at] ?? "";
  const isStrong = text[at + 1] === mark;
  const fence = isStrong ? mark + mark : mark;
  const start = at + fence.length;
  // Names such as `my_model_file` hold no emphasis.
  if (depth === MAX_DEPTH || isSpace(text[start]) || (mark === "_" && WORD.test(text[at - 1] ?? ""))) return undefined;
  const end = closingMark(text, start, fence);
  if (end === undefined) return undefined;
  return { part: { kind: isStrong ? "strong" : "emphasis", parts: parse(text.slice(start, end), depth + 1) }, end: end + fence.length };
}

function closingMark(text: string, start: number, fence: string): number | undefined {
  const mark = fence[0] ?? "";
  for (let at = text.indexOf(fence, start + 1); at >= 0 && at < start + MAX_SPAN; at = text.indexOf(fence, at + runOf(text, at))) {
    const run = runOf(text, at);
    const fits = run === fence.length || run === 3;
    const endsWord = mark !== "_" || !WORD.test(text[at + run] ?? "");
    if (fits && endsWord && !isSpace(text[at - 1])) return at;
  }
  return undefined;
}

function isSpace(character: string | undefined): boolean {
  return character === undefined || /\s/.test(character);
}
