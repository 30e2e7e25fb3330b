import { Argument, type Command, InvalidArgumentError, Option } from "commander";

/** A parser for an option that may be given often. */
export function collect<T>(parse: (text: string) => T): (text: string, before: readonly T[]) => readonly T[] {
  return (text, before) => [...before, parse(text)];
}

/** Text as it is. */
export function asText(text: string): string {
  return text;
}

/** `key=value`. */
export function parseAnnotation(text: string): readonly [string, string] {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("It must be <key>=<value>.");
  return [text.slice(0, at), text.slice(at + 1)];
}

/** A whole number of at least one. */
export function parseCount(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError("It must be a whole number of at least 1.");
  return Number(text);
}

/** A whole number that is not negative. */
export function parseSequence(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
}

const SECONDS: ReadonlyMap<string | undefined, number> = new Map([
  ["s", 1],
  ["m", 60],
  ["h", 3600],
  ["d", 86_400],
]);

/** A time such as `90s`, `30m`, `12h` or `30d`, in seconds. */
export function parseDuration(text: string): number {
  const [, count, unit] = /^([1-9]\d{0,8})([a-z])$/.exec(text) ?? [];
  const seconds = SECONDS.get(unit);
  if (seconds === undefined) throw new InvalidArgumentError("It must be a number and a unit: 90s, 30m, 12h or 30d.");
  return Number(count) * seconds;
}

const MAX_REASON = 1024;

/** The option that says why, for the record. */
export function reasonOption(): Option {
  return new Option("--reason <text>", "why, for the record and the audit").argParser((text: string) => {
    if (text.length === 0 || text.length > MAX_REASON) throw new InvalidArgumentError(`It must have 1 to ${MAX_REASON} characters.`);
    return text;
  });
}

/** The argument that says which artifact is meant. */
export function refArgument(): Argument {
  return new Argument("<ref>", "<repository>:<tag>, <repository>@<digest>, or the name of a registered artifact");
}

/** Adds the option by which a script, or a person who is sure, is not asked. */
export function withYes(command: Command): Command {
  return command.option("-y, --yes", "do not ask, also on a terminal");
}
