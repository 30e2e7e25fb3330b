/** What was found wrong, each once however often it shows. */
export class Findings {
  readonly #seen = new Set<string>();

  add(where: string, what: string): void {
    const line = `FAILED ${where}: ${what}`;
    if (this.#seen.has(line)) return;
    this.#seen.add(line);
    process.stdout.write(`${line}\n`);
  }

  get count(): number {
    return this.#seen.size;
  }
}
