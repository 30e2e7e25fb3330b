import { constants } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { hasCode, noneWhenMissing } from "./claim.ts";
import { makeDurableFolder, syncPath } from "./sync.ts";
import { nameUnderWay, removeLeftovers } from "./under-way.ts";

/** Why a file that should hold a secret cannot be used, for the operator who starts the registry. */
export class SecretFileError extends Error {
  override readonly name = "SecretFileError";
}

/** What a file with one secret in it holds. */
export interface SecretFile {
  readonly secret: string;
  readonly readableByOthers: boolean;
}

const MAX_BYTES = 4096;
const MIN_LENGTH = 32;
const SECRET_UNDER_WAY = ".new.";

/** A file that nobody else can have written, as text. */
export interface PrivateFile {
  readonly text: string;
  readonly readableByOthers: boolean;
}

/**
 * Reads a secret of one line. Undefined when there is no such file. Refused is what somebody else could have put there: a symbolic link,
 * a file that others can write, and what is too short to be a secret.
 */
export async function readSecretFile(path: string): Promise<SecretFile | undefined> {
  const file = await readPrivateFile(path);
  if (file === undefined) return undefined;
  return { secret: oneSecret(file.text, path), readableByOthers: file.readableByOthers };
}

/** The secret that a text consists of; what is too short to be one is refused, by the name of where it comes from. */
export function oneSecret(text: string, from: string): string {
  const secret = text.trim();
  if (secret.length < MIN_LENGTH || /\s/.test(secret))
    throw refused(from, `must hold one secret of at least ${MIN_LENGTH} characters without white space`);
  return secret;
}

/** Reads a file of at most 4 KiB that holds a secret, or what it is protected by, in any form; see `readSecretFile` for what is refused. */
export async function readPrivateFile(path: string): Promise<PrivateFile | undefined> {
  const file = await openFile(path);
  if (file === undefined) return undefined;
  try {
    const { size, mode } = await checkedStat(file, path);
    if (size > MAX_BYTES) throw refused(path, "is too large to hold a secret");
    return { text: await file.readFile("utf8"), readableByOthers: (mode & 0o044) !== 0 };
  } finally {
    await file.close();
  }
}

/** Writes a secret as a file that only its owner can read, ended by a line break: whole and durable under its name, or not there. */
export async function writeSecretFile(path: string, secret: string): Promise<void> {
  await writeOwnFile(path, `${secret}\n`);
}

/** Writes a file that only its owner can read: whole and durable under its name, or not there. */
export async function writeOwnFile(path: string, content: string | Uint8Array): Promise<void> {
  const folder = dirname(path);
  await makeDurableFolder(folder, 0o700);
  const temporary = join(folder, nameUnderWay(SECRET_UNDER_WAY));
  try {
    const file = await open(temporary, "wx", 0o600);
    await writeAndSync(file, content);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncPath(folder);
}

/** Removes what processes that have ended left in a folder while they wrote secrets there. */
export async function removeUnwrittenSecrets(folder: string): Promise<void> {
  await removeLeftovers(folder, SECRET_UNDER_WAY);
}

async function writeAndSync(file: FileHandle, content: string | Uint8Array): Promise<void> {
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Never through a symbolic link, and without waiting for the other end of a pipe. */
async function openFile(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (hasCode(error, "ELOOP")) throw refused(path, "is a symbolic link");
    if (hasCode(error, "EACCES", "EPERM")) throw refused(path, "may not be read by this user");
    if (hasCode(error, "ENOTDIR")) return undefined;
    return noneWhenMissing(error);
  }
}

async function checkedStat(file: FileHandle, path: string): Promise<{ readonly size: number; readonly mode: number }> {
  const stat = await file.stat();
  if (!stat.isFile()) throw refused(path, "is not a regular file");
  if ((stat.mode & 0o022) !== 0) throw refused(path, "can be written by others: chmod 600 it, and change the secret");
  return stat;
}

function refused(path: string, why: string): SecretFileError {
  return new SecretFileError(`${path} ${why}`);
}
