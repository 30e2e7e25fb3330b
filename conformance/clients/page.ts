import { asScript, refusalsIn, shellBlocks } from "../readme.ts";

/** A section of a client's page: what the table calls the case, and what it has to come to. */
export interface Case {
  readonly title: string;
  readonly commands: string;
  readonly expected: string;
}

/** The sections of a page that have commands, in order. */
export function casesOf(markdown: string): readonly Case[] {
  const sections = new Map<string, string[]>();
  for (const { section, commands } of shellBlocks(markdown)) sections.set(section, [...(sections.get(section) ?? []), commands]);
  return [...sections].map(([title, blocks]) => {
    const commands = blocks.join("\n");
    return { title, commands, expected: expectedOf(commands) };
  });
}

function expectedOf(commands: string): string {
  const refusals = [...new Set(refusalsIn(commands))];
  return refusals.length === 0 ? "works" : `refused: ${refusals.join("; ")}`;
}

/** All cases as one script, which tells in the file that `PROGRESS` names how many it has begun. */
export function scriptOf(cases: readonly Case[]): string {
  const parts = cases.map(({ commands }) => `echo >> "$PROGRESS"\n${commands}`);
  return `exec 2>&1\nPS4='+ $SECONDS s: '\n${asScript(parts.join("\n"))}`;
}
