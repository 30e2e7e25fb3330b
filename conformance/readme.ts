/** A fenced block of shell commands, with the section that it stands in. */
export interface ShellBlock {
  readonly section: string;
  readonly commands: string;
}

/** The ```sh blocks of a Markdown page, in order. */
export function shellBlocks(markdown: string): readonly ShellBlock[] {
  const found: ShellBlock[] = [];
  let section = "";
  let block: string[] | undefined;
  for (const line of markdown.split("\n")) {
    if (block === undefined) {
      if (/^#{1,6} /.test(line)) section = line.replace(/^#+ /, "");
      if (line === "```sh") block = [];
    } else if (line === "```") {
      found.push({ section, commands: block.join("\n") });
      block = undefined;
    } else block.push(line);
  }
  return found;
}

/** A command whose line ends so must fail: the page shows that it is refused, and up to a comma in which words. */
const REFUSED = /\s+#\s*refused\b(?::\s*([^,]*))?.*$/;

/** The words of the refusals that the commands announce, in order. */
export function refusalsIn(commands: string): readonly string[] {
  return logicalLines(commands).flatMap((line) => REFUSED.exec(line)?.[1]?.trim() ?? []);
}

/** The commands as a script that stops at the first surprise: one that fails, or one marked `# refused: words` that does not, or in other words. */
export function asScript(commands: string): string {
  const lines = logicalLines(commands).map((line) => {
    const [whole, words = ""] = REFUSED.exec(line) ?? [];
    return whole === undefined ? line : refused(line.slice(0, -whole.length), words.trim());
  });
  // What it traces is no word of a refusal.
  return ["set -euo pipefail", "exec {trace}>&2", "BASH_XTRACEFD=$trace", "set -x", ...lines].join("\n");
}

function logicalLines(commands: string): readonly string[] {
  return commands.replaceAll("\\\n", " ").split("\n");
}

function refused(command: string, words: string): string {
  const complain = (what: string): string => `{ echo ${quoted(`${what}: ${command}`)} >&2; exit 1; }`;
  return [
    `if refusal=$({ ${command}; } 2>&1); then ${complain("not refused")}; fi`,
    `printf '%s\\n' "$refusal" >&2`,
    `grep --quiet --ignore-case --fixed-strings -e ${quoted(words)} <<<"$refusal" || ${complain(`refused in other words than ${words}`)}`,
  ].join("\n");
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
