import { randomUUID } from "node:crypto";
import { readFile, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { z } from "zod";
import { type LockEntry, LockFileError, MAX_LOCK_BYTES, lockFileText, parseLockFile } from "../../audit/lock-file.ts";
import { type WrittenModel, writtenModelSchema } from "../../audit/recorded-model.ts";
import { digestOf } from "../../oci/digest.ts";
import { repositoryOfModel } from "../../oci/model-name.ts";
import type { NativeClient } from "../client.ts";
import { CliError, EXIT } from "../failure.ts";
import type { CheckedEntry, LockVerification, WrittenLockFile } from "../json-outputs.ts";
import { checkEntry } from "../lock-verification.ts";
import type { OpenSession, Session } from "../session.ts";

const HELP = `
A lock file (models.lock.yaml) names models by digest. A registry whose store is empty registers them from the file that
REGISTRY_LOCK_PATH names, and trusts those whose bytes lie in its data directory and have the digest.

Examples:
  securectl lock generate --output models.lock.yaml
  securectl lock verify models.lock.yaml
  securectl lock verify models.lock.yaml --dir /registry

Bytes that are missing or have another digest exit with 6; a file, or an entry, that the registry would refuse, with 1.`;

/** `lock`: lock files, by which an empty registry gets its first models. */
export function addLock(program: Command, open: OpenSession): void {
  const group = program
    .command("lock")
    .summary("write and check lock files")
    .description("Write and check lock files, by which an empty registry gets its first models.")
    .addHelpText("after", HELP);
  addGenerate(group, open);
  addVerify(group, open);
}

function addGenerate(group: Command, open: OpenSession): void {
  group
    .command("generate")
    .summary("write a lock file of what is trusted now")
    .description("Write a lock file of the trusted models that were registered by name.")
    .option("-o, --output <file>", "where to; else it is printed")
    .action(async ({ output }: { readonly output?: string }, command: Command) => {
      const session = open(command);
      const models = await trustedModels(await session.native("service-token"));
      const text = lockFileText(models);
      if (output === undefined) return print(session, models, text);
      await write(output, text);
      const written: WrittenLockFile = { file: output, digest: digestOf(text), models: models.length };
      session.show(written, () => `Wrote ${output}: ${models.length} models, ${written.digest}`);
    });
}

const listedSchema = z.array(z.looseObject({ name: z.string(), repository: z.string(), state: z.string() })).nullable();

/** What a lock file says of a model, and no more. */
const recordSchema = z.object(writtenModelSchema.shape);

/** What was pushed by OCI has no name of its own, and no file that it could be taken from. */
async function trustedModels(client: NativeClient): Promise<readonly WrittenModel[]> {
  const listed = (await client.request({ method: "GET", path: "/v1/models" }, listedSchema)) ?? [];
  const trusted = listed.filter(({ name, repository, state }) => state === "trusted" && repository === repositoryOfModel(name));
  return trusted.map((model) => recordSchema.parse(model));
}

/** JSON is YAML: either form is a lock file. The very bytes go to a program, and what a person sees on a terminal is made visible. */
function print({ terminal, json }: Session, models: readonly WrittenModel[], text: string): void {
  if (json) terminal.printJson({ version: 1, models });
  else if (terminal.streams.stdout.isTTY === true) terminal.print(text.trimEnd());
  else terminal.streams.stdout.write(text);
}

/** Whole under its name, or not there; others may read it, which is what the registry asks for. */
async function write(output: string, text: string): Promise<void> {
  const temporary = `${output}.${randomUUID()}.tmp`;
  try {
    await writeFile(temporary, text, { mode: 0o644, flag: "wx" });
    await rename(temporary, output);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function addVerify(group: Command, open: OpenSession): void {
  group
    .command("verify")
    .summary("check a lock file, and the bytes that it names")
    .description("Check a lock file; with --dir, the bytes of the models as well. No registry is asked.")
    .argument("<file>", "the lock file")
    .option("--dir <directory>", "the data directory in which the files of the models lie")
    .action(async (file: string, { dir }: { readonly dir?: string }, command: Command) => {
      const session = open(command);
      const verification = await verify(session, file, dir);
      session.show(verification, () => verificationText(verification));
      refuseFaulty(verification);
    });
}

async function verify(session: Session, file: string, dir: string | undefined): Promise<LockVerification> {
  const bytes = await read(file);
  const directory = dir === undefined ? undefined : await realpath(dir).catch((error: unknown) => missing(dir, error));
  const digest = digestOf(bytes);
  try {
    return { file, digest, entries: await checkAll(parseLockFile(bytes), directory, session) };
  } catch (error) {
    if (error instanceof LockFileError) return { file, digest, fault: error.message, entries: [] };
    throw error;
  }
}

async function read(file: string): Promise<Uint8Array> {
  const { size } = await stat(file).catch((error: unknown) => missing(file, error));
  if (size > MAX_LOCK_BYTES) throw new CliError(EXIT.failure, `${file}: a lock file has at most ${MAX_LOCK_BYTES} bytes`);
  return readFile(file).catch((error: unknown) => missing(file, error));
}

function missing(path: string, cause: unknown): never {
  throw new CliError(EXIT.usage, `there is no ${path} that could be read`, { cause });
}

async function checkAll(
  entries: readonly LockEntry[],
  directory: string | undefined,
  { terminal }: Session,
): Promise<readonly CheckedEntry[]> {
  const checked: CheckedEntry[] = [];
  for (const entry of entries) checked.push(await checkEntry(entry, directory, terminal));
  return checked;
}

const WORDS: Readonly<Record<CheckedEntry["status"], string>> = {
  read: "OK",
  intact: "VERIFIED",
  needless: "SKIPPED",
  failed: "FAILED",
  refused: "REFUSED",
};

function verificationText({ file, digest, fault, entries }: LockVerification): string {
  if (fault !== undefined) return `REFUSED: ${file}: ${fault}`;
  const lines = entries.map(({ entry, line, name, status, reason }) => {
    const where = status === "refused" ? ` (entry ${entry}, line ${line})` : "";
    return `${WORDS[status]}: ${name}${where}${reason === undefined ? "" : `: ${reason}`}`;
  });
  return [...lines, `${file}: ${entries.length} models, ${digest}`].join("\n");
}

function refuseFaulty({ file, fault, entries }: LockVerification): void {
  const count = (status: CheckedEntry["status"]): number => entries.filter((entry) => entry.status === status).length;
  if (count("failed") > 0) throw new CliError(EXIT.integrity, `${count("failed")} models of ${file} do not have their bytes`);
  if (fault !== undefined) throw new CliError(EXIT.failure, `a registry would refuse ${file}`);
  if (count("refused") > 0) throw new CliError(EXIT.failure, `a registry would refuse ${count("refused")} entries of ${file}`);
}
