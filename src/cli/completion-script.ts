import type { Command } from "commander";

/** One command: the words that lead to it, and what may follow. */
interface Place {
  readonly path: readonly string[];
  readonly words: readonly { readonly word: string; readonly help: string }[];
}

/** A completion script for a shell, drawn from the tree of commands. File names are completed where nothing else fits. */
export function completionScript(program: Command, shell: "bash" | "zsh" | "fish"): string {
  const places = [...placesOf(program, [], optionsOf(program))];
  if (shell === "fish") return fish(program, places);
  return shell === "bash" ? bash(program, places) : zsh(program, places);
}

function* placesOf(command: Command, path: readonly string[], shared: Place["words"]): Generator<Place> {
  const own = path.length === 0 ? [] : optionsOf(command);
  const subcommands = command.commands.map((each) => ({ word: each.name(), help: each.summary() }));
  yield { path, words: [...subcommands, ...own, ...shared] };
  for (const each of command.commands) yield* placesOf(each, [...path, each.name()], shared);
}

function optionsOf(command: Command): Place["words"] {
  return command
    .createHelp()
    .visibleOptions(command)
    .flatMap(({ long, description }) => (long ? [{ word: long, help: description }] : []));
}

/** Walks the words that were typed so far down the tree, in the language that bash and zsh share. */
function walk(places: readonly Place[], next: string): string {
  const known = places.filter(({ path }) => path.length > 0).map(({ path }) => `"${path.join(" ")}"`);
  return `for word in ${next}; do\n    case "$place$word" in\n      ${known.join("|")}) place="$place$word " ;;\n    esac\n  done`;
}

function cases(places: readonly Place[], render: (place: Place) => string): string {
  return places.map((place) => `    "${place.path.map((word) => `${word} `).join("")}") ${render(place)} ;;`).join("\n");
}

function bash(program: Command, places: readonly Place[]): string {
  const name = program.name();
  return `_${name}() {
  local place="" word words=""
  ${walk(places, '"${COMP_WORDS[@]:1:COMP_CWORD-1}"')}
  case "$place" in
${cases(places, ({ words }) => `words="${words.map(({ word }) => word).join(" ")}"`)}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _${name} ${name}`;
}

function zsh(program: Command, places: readonly Place[]): string {
  const name = program.name();
  const entries = ({ words }: Place): string => `entries=(${words.map(({ word, help }) => quoted(`${word}:${help}`)).join(" ")})`;
  return `#compdef ${name}
_${name}() {
  local place="" word
  local -a entries
  ${walk(places, '"${(@)words[2,CURRENT-1]}"')}
  case "$place" in
${cases(places, entries)}
  esac
  _describe command entries || _files
}
if [ "$funcstack[1]" = "_${name}" ]; then _${name} "$@"; else compdef _${name} ${name}; fi`;
}

function fish(program: Command, places: readonly Place[]): string {
  const name = program.name();
  const known = places.filter(({ path }) => path.length > 0).map(({ path }) => quoted(path.join(" ")));
  const lines = places.flatMap(({ path, words }) => {
    const start = `complete -c ${name} -n ${quoted(`__${name}_at ${path.join(" ")}`)}`;
    const entries = words.map(
      ({ word, help }) => `${start} ${word.startsWith("--") ? `-l ${word.slice(2)}` : `-a ${word}`} -d ${quoted(help)}`,
    );
    // Where a subcommand has to follow, no file does.
    return words.some(({ word }) => !word.startsWith("--")) ? [`${start} -f`, ...entries] : entries;
  });
  return `function __${name}_at
  set -l place ""
  for word in (commandline -opc)[2..-1]
    set -l next (string trim -- "$place $word")
    contains -- $next ${known.join(" ")}; and set place $next
  end
  test "$place" = "$argv"
end
${lines.join("\n")}`;
}

/** A word for all three shells: single quotes, with those inside of it left and entered again. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
