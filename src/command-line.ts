import { parseArgs } from "node:util";

export const HELP = `Usage: ai-model-registry [recover | backup FOLDER | check-backup FOLDER | restore FOLDER]

Serves the registry in the foreground until SIGTERM, SIGINT or the end of its terminal. It is configured by the environment and by
the YAML file that REGISTRY_CONFIG names; docs/settings.md lists every setting.

Commands:
  recover              make a new key for the operator, for who is on this machine and has lost the old one; the server may be running
  backup FOLDER        copy the registry to a folder, or what is new to one with an earlier backup; the server may be running
  check-backup FOLDER  hold every byte of a backup to its digest, and prove its audit log
  restore FOLDER       make REGISTRY_DIR, which must be empty, of a backup; no server may run over either

Options:
  --passphrase-file FILE  for backups: whoever knows it can read the secrets in them, and nobody else can make one; - for standard input
  --at-least SEQUENCE     for restore: refuse a backup that ends before this audit event
  -h, --help              show this
  --version               show the version
`;

/** Why a command line means nothing. Its message may quote what was given: no secret is taken by argument. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What a backup command is to do. */
export interface BackupTask {
  readonly command: "backup" | "check-backup" | "restore";
  readonly folder: string;
  readonly passphraseFile: string;
  /** The audit event that what is restored has to reach. */
  readonly atLeast: number;
}

/** What the program is asked to do. */
export type Asked = { readonly command: "help" | "version" | "serve" | "recover" } | BackupTask;

const OPTIONS = {
  help: { type: "boolean", short: "h" },
  version: { type: "boolean" },
  "passphrase-file": { type: "string" },
  "at-least": { type: "string" },
} as const;

/** What the arguments ask for. Whatever a command does not take is refused, since it would be believed to have had an effect. */
export function parseCommandLine(args: readonly string[]): Asked {
  const { values, positionals } = inWords(() => parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true }));
  const { help, version, ...options } = values;
  const [command, ...more] = positionals;
  if (help === true || command === "help") return { command: "help" };
  if (version === true) return { command: "version" };
  if (command === "backup" || command === "check-backup" || command === "restore") return backupTask(command, more, options);
  takesNoMore(plain(command), [...more, ...named(options)]);
  return { command: command === undefined ? "serve" : "recover" };
}

/** The name of what takes neither folder nor options. */
function plain(command: string | undefined): string {
  if (command !== undefined && command !== "recover") throw new UsageError(`unknown command: ${command}`);
  return command ?? "the server";
}

interface Options {
  readonly "passphrase-file"?: string;
  readonly "at-least"?: string;
}

function backupTask(command: BackupTask["command"], [folder, ...more]: readonly string[], options: Options): BackupTask {
  const { "passphrase-file": passphraseFile, "at-least": atLeast } = options;
  if (folder === undefined) throw new UsageError(`${command} needs the folder of the backup`);
  takesNoMore(command, command === "restore" ? more : [...more, ...named({ "at-least": atLeast })]);
  if (passphraseFile === undefined)
    throw new UsageError(
      "--passphrase-file: name a file with the passphrase of the backup, one line of at least 32 characters, or - for standard input",
    );
  return { command, folder, passphraseFile, atLeast: sequenceOf(atLeast) };
}

/** The options that were given, as they were written. */
function named(options: Readonly<Record<string, string | undefined>>): readonly string[] {
  return Object.entries(options).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`]));
}

function takesNoMore(command: string, [extra]: readonly string[]): void {
  if (extra !== undefined) throw new UsageError(`${command} takes no ${extra}`);
}

function sequenceOf(text = "0"): number {
  if (!/^\d{1,15}$/.test(text)) throw new UsageError("--at-least: must be the sequence of an audit event");
  return Number(text);
}

/** What Node says of arguments is for whoever typed them. */
function inWords<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS"))) throw error;
    throw new UsageError(error.message, { cause: error });
  }
}
