/** A part of a text in Markdown. What it does not know stays text, HTML above all. */
export type Block =
  | { readonly kind: "heading"; readonly level: number; readonly text: string }
  | { readonly kind: "code"; readonly text: string }
  | { readonly kind: "rule" }
  | { readonly kind: "quote"; readonly blocks: readonly Block[] }
  | { readonly kind: "list"; readonly isOrdered: boolean; readonly items: readonly (readonly Block[])[] }
  | { readonly kind: "table"; readonly head: readonly string[]; readonly rows: readonly (readonly string[])[] }
  | { readonly kind: "paragraph"; readonly text: string };

/** Lists and quotes within each other; what is deeper is a paragraph. */
const MAX_DEPTH = 4;
const MAX_COLUMNS = 16;

/* Of these none goes over a line more than once, however it is made. */
const HEADING = /^ {0,3}(#{1,6})(?= |$)/;
const RULE = /^ {0,3}(?:(?:- *){3,}|(?:\* *){3,}|(?:_ *){3,})$/;
const FENCE = /^ {0,3}(`{3,}|~{3,})/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(?: +|$)/;
const DELIMITER = /^[ |:-]+$/;

/**
 * Reads the blocks of a text in Markdown: headings, paragraphs, lists, quotes, tables, code between fences and rules. Each line is looked at
 * a bounded number of times, whatever it holds.
 */
export function markdownBlocks(text: string): readonly Block[] {
  return new BlockReader(text.split(/\r\n?|\n/), 0).all();
}

class BlockReader {
  readonly #lines: readonly string[];
  readonly #depth: number;
  #at = 0;

  constructor(lines: readonly string[], depth: number) {
    this.#lines = lines;
    this.#depth = depth;
  }

  all(): readonly Block[] {
    const blocks: Block[] = [];
    while (this.#at < this.#lines.length) {
      if (this.#line().trim() === "") this.#at += 1;
      else blocks.push(this.#next());
    }
    return blocks;
  }

  #line(ahead = 0): string {
    return this.#lines[this.#at + ahead] ?? "";
  }

  #next(): Block {
    return this.#single() ?? this.#fenced() ?? this.#quote() ?? this.#list() ?? this.#table() ?? this.#paragraph();
  }

  /** What is one line. */
  #single(): Block | undefined {
    const heading = HEADING.exec(this.#line());
    const block: Block | undefined =
      heading !== null
        ? { kind: "heading", level: heading[1]?.length ?? 1, text: headingText(this.#line().slice(heading[0].length)) }
        : RULE.test(this.#line())
          ? { kind: "rule" }
          : undefined;
    if (block !== undefined) this.#at += 1;
    return block;
  }

  #fenced(): Block | undefined {
    const fence = FENCE.exec(this.#line())?.[1];
    if (fence === undefined) return undefined;
    this.#at += 1;
    const lines = this.#while((line) => !line.trim().startsWith(fence));
    // The fence that ends it; at the end of the text there may be none.
    this.#at += 1;
    return { kind: "code", text: lines.join("\n") };
  }

  #quote(): Block | undefined {
    if (this.#depth === MAX_DEPTH || !QUOTE.test(this.#line())) return undefined;
    const lines = this.#while((line) => QUOTE.test(line));
    const inner = lines.map((line) => line.replace(QUOTE, ""));
    return { kind: "quote", blocks: new BlockReader(inner, this.#depth + 1).all() };
  }

  #list(): Block | undefined {
    const first = ITEM.exec(this.#line());
    if (this.#depth === MAX_DEPTH || first === null) return undefined;
    const isOrdered = isNumber(first[2]);
    const items: (readonly Block[])[] = [];
    for (;;) {
      const item = ITEM.exec(this.#line());
      if (item === null || isNumber(item[2]) !== isOrdered || RULE.test(this.#line())) break;
      items.push(new BlockReader(this.#item(item[0].length), this.#depth + 1).all());
    }
    return { kind: "list", isOrdered, items };
  }

  /** The lines of an item: its own, those that are indented behind it, and empty ones between. */
  #item(indent: number): readonly string[] {
    const lines = [this.#line().slice(indent)];
    this.#at += 1;
    lines.push(
      ...this.#while((line) => {
        if (line.trim() === "") return /^ {2,}\S/.test(this.#line(1));
        return /^ {2,}/.test(line) || !this.#begins(line);
      }).map((line) => line.replace(/^ {2,4}/, "")),
    );
    // An empty line that ends the list is no part of it.
    while (this.#line().trim() === "" && ITEM.test(this.#line(1))) this.#at += 1;
    return lines;
  }

  #table(): Block | undefined {
    if (!this.#line().includes("|") || !isDelimiter(this.#line(1))) return undefined;
    const head = cellsOf(this.#line());
    this.#at += 2;
    const rows = this.#while((line) => line.includes("|") && line.trim() !== "").map((line) => {
      const cells = cellsOf(line);
      return head.map((_, column) => cells[column] ?? "");
    });
    return { kind: "table", head, rows };
  }

  #paragraph(): Block {
    const first = this.#line();
    this.#at += 1;
    const lines = [first, ...this.#while((line) => line.trim() !== "" && !this.#begins(line))];
    return { kind: "paragraph", text: lines.map((line) => line.trim()).join(" ") };
  }

  /** Does a line begin something that ends a paragraph? */
  #begins(line: string): boolean {
    return [HEADING, RULE, FENCE, QUOTE, ITEM].some((pattern) => pattern.test(line));
  }

  /** The next lines for as long as they fit. */
  #while(fits: (line: string) => boolean): string[] {
    const lines: string[] = [];
    while (this.#at < this.#lines.length && fits(this.#line())) {
      lines.push(this.#line());
      this.#at += 1;
    }
    return lines;
  }
}

/** Without the marks that may stand behind it as well. */
function headingText(rest: string): string {
  return rest.trimEnd().replace(/ #+$/, "").trim();
}

/** The line between a table's head and its rows. */
function isDelimiter(line: string): boolean {
  return line.includes("|") && line.includes("-") && DELIMITER.test(line);
}

function isNumber(marker = ""): boolean {
  return /\d/.test(marker);
}

/** At most so many; a bar behind a backslash is text. */
function cellsOf(line: string): readonly string[] {
  const inner = line.trim().replace(/^\|/, "").replace(/\|$/, "");
  const cells = inner.split(/(?<!\\)\|/, MAX_COLUMNS);
  return cells.map((cell) => cell.trim().replaceAll("\\|", "|"));
}
