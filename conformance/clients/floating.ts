const ANY = "the system's";

/** A page's table without the versions of clients whose version nobody chose, so that a newer one that does the same is no difference. */
export function withoutVersions(page: string, names: readonly string[]): string {
  const floating = new Set(names);
  const lines = page.split("\n").map((line) => {
    const [empty, name, , ...rest] = line.split("|");
    return empty === "" && floating.has(name?.trim() ?? "") ? [empty, name, ` ${ANY} `, ...rest].join("|") : line;
  });
  return lines.join("\n");
}
