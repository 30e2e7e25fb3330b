/** A program that is tried on the registry, by the name and version that the table shows. */
export interface Client {
  readonly name: string;
  /** An exact version, or where the program comes from when that decides. */
  readonly version: string;
}

/** What a program did in one case, in the words of the table. */
export interface Row {
  readonly client: Client;
  readonly what: string;
  readonly result: string;
}

/** Collects what happened, tells it at once, and goes on after what went wrong. */
export class Report {
  readonly rows: Row[] = [];
  #failed = 0;
  readonly #say: (text: string) => void;

  constructor(say: (text: string) => void) {
    this.#say = say;
  }

  get failed(): number {
    return this.#failed;
  }

  /** Has a case happen, and holds its result to the expected one. */
  async row(client: Client, what: string, expected: string, happen: () => Promise<string>): Promise<void> {
    let result: string;
    let details = "";
    try {
      result = await happen();
    } catch (error) {
      result = "failed";
      details = `\n${String(error)}`;
    }
    this.rows.push({ client, what, result });
    if (result === expected) return this.#say(`ok     ${client.name}: ${what}: ${result}\n`);
    this.fail(`${client.name}: ${what}: ${result}, expected ${expected}${details}`);
  }

  /** Something went wrong that is no case. */
  fail(complaint: string): void {
    this.#failed += 1;
    this.#say(`FAILED ${complaint}\n`);
  }
}

const HEADINGS = ["tool", "version", "case", "result"] as const;

/** The rows as a Markdown table, its columns aligned as the formatter wants them. */
export function tableOf(rows: readonly Row[]): string {
  const cells = rows.map(({ client, what, result }) => [client.name, client.version, what, result]);
  const widths = HEADINGS.map((heading, at) => Math.max(...[[...HEADINGS], ...cells].map((row) => row[at]?.length ?? 0), heading.length));
  const line = (row: readonly string[]): string => `| ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(" | ")} |`;
  const rule = widths.map((width) => "-".repeat(width));
  return [line(HEADINGS), line(rule), ...cells.map(line)].join("\n");
}

/** Where the table that an npm script writes stands on its page: below a line that says so. */
function placeOf(script: string): { readonly begin: string; readonly table: RegExp } {
  const begin = `<!-- ${script}: written by npm run ${script} -- --write -->`;
  return { begin, table: new RegExp(`${begin}\n(?:\n(?:\\|.*\n)+)?`) };
}

/** A page with the table of an npm script replaced. Throws when it has no place for one. */
export function withTable(script: string, page: string, rows: readonly Row[]): string {
  const { begin, table } = placeOf(script);
  if (!table.test(page)) throw new Error(`the page has no line ${begin} with a table below it`);
  return page.replace(table, () => `${begin}\n\n${tableOf(rows)}\n`);
}

/** Lines of a script's tables in which two pages differ, those of the first marked `-`, those of the second `+`. */
export function differences(script: string, shown: string, happened: string): readonly string[] {
  const { table } = placeOf(script);
  const [one, other] = [shown, happened].map((page) => table.exec(page)?.[0].split("\n").map(plain) ?? []);
  const [here = [], there = []] = [one, other];
  return [
    ...here.filter((line) => !there.includes(line)).map((line) => `- ${line}`),
    ...there.filter((line) => !here.includes(line)).map((line) => `+ ${line}`),
  ];
}

/** A row without the spaces and dashes that align it. */
function plain(line: string): string {
  return line.replaceAll(/ {2,}/g, " ").replaceAll(/-{3,}/g, "---");
}
