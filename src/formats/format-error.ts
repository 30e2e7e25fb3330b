/** A file that breaks the rules of its format, or one that is not read here; `message` is a short reason, safe to show. */
export class FormatError extends Error {
  override readonly name = "FormatError";
}

const SHOWN = 64;

/** A name out of a file as a message may show it: quoted, in ASCII and cut to 64 characters. */
export function shown(name: string): string {
  const cut = name.length > SHOWN ? `${name.slice(0, SHOWN)}...` : name;
  return JSON.stringify(cut).replace(/[^\x20-\x7e]/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}
