import { readFile } from "node:fs/promises";

/** The settings of a unit's section, in order; an empty one takes back those before it (systemd.syntax(7)). */
export type Section = ReadonlyMap<string, readonly string[]>;

/** Reads a section of a unit with its drop-ins on top, as systemd merges them. */
export async function readSection(section: string, files: readonly string[]): Promise<Section> {
  const settings = new Map<string, readonly string[]>();
  for (const file of files) {
    for (const [name, value] of assignments(section, await readFile(file, "utf8"))) {
      settings.set(name, value === "" ? [] : [...(settings.get(name) ?? []), value]);
    }
  }
  return settings;
}

function assignments(section: string, unit: string): readonly (readonly [string, string])[] {
  let current = "";
  return unit.split("\n").flatMap((line) => {
    current = /^\[(\w+)\]$/.exec(line)?.[1] ?? current;
    const found = /^(\w+)=(.*)$/.exec(line);
    return current === section && found !== null ? [[found[1] ?? "", found[2] ?? ""] as const] : [];
  });
}
