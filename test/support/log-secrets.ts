import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Writable } from "node:stream";

/** What the registry's own secrets begin with, written down here anew: the logger's own idea of them is what is tried. */
const SECRET = /amr[a-z]?_[0-9A-Za-z]{20}|\beyJ[\w-]{16}|BEGIN [A-Z ]*PRIVATE KEY/;
/** What may be a secret in the code of Basic credentials. */
const ENCODED = /[A-Za-z0-9+/_-]{40,}/g;
/** What the logger puts in the place of a secret: somebody logged one, and only the last net caught it. */
const BLANKED = "[redacted]";

/** The lines of these that no log may have: any with a secret, whether this registry issued it or it was blanked at the last moment. */
export function linesWithSecrets(lines: Iterable<string>, issued: readonly string[] = []): readonly string[] {
  const shown = issued.filter((secret) => secret !== "");
  return [...lines].filter((line) =>
    [line, ...decoded(line)].some((text) => SECRET.test(text) || text.includes(BLANKED) || shown.some((secret) => text.includes(secret))),
  );
}

function decoded(line: string): readonly string[] {
  return (line.match(ENCODED) ?? []).map((text) => Buffer.from(text, "base64").toString("latin1"));
}

/** Throws when a log has a line that it must not have. */
export function refuseSecrets(lines: Iterable<string>, issued: readonly string[] = []): void {
  const found = linesWithSecrets(lines, issued);
  if (found.length > 0) throw new Error(`the log has a secret:\n${found.slice(0, 5).join("\n")}`);
}

/** What a registry keeps in its folder of credentials; nothing of one that is gone. */
export function credentialsIn(dataDirectory: string): readonly string[] {
  const folder = join(dataDirectory, "credentials");
  try {
    return readdirSync(folder).map((name) => readFileSync(join(folder, name), "utf8").trim());
  } catch {
    return [];
  }
}

/** Takes a logger's lines, and keeps them. */
export class KeptLines extends Writable {
  readonly lines: string[] = [];

  override _write(chunk: Buffer | string, _: string, done: () => void): void {
    this.lines.push(...chunk.toString().split("\n"));
    done();
  }
}
