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

/** A command whose line ends so must fail: the page shows that it is refused. */
const REFUSED = /\s+#\s*refused\b.*$/;

/** The commands as a script that stops at the first surprise: one that fails, or one marked `# refused` that does not. */
export function asScript(commands: string): string {
  const logical = commands.replaceAll("\\\n", " ").split("\n");
  const lines = logical.map((line) => {
    if (!REFUSED.test(line)) return line;
    const command = line.replace(REFUSED, "");
    return `if ${command}; then echo 'not refused: ${command.replaceAll("'", "'\\''")}' >&2; exit 1; fi`;
  });
  return ["set -euo pipefail", "set -x", ...lines].join("\n");
}
