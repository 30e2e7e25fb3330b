import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { CliError, EXIT } from "./failure.ts";

const MAX_BYTES = 16 * 1024;
/** Shorter ones are passwords at best; every secret that the registry makes is longer. */
const MIN_LENGTH = 32;

/**
 * The secret in a file of one line, by the same rules as the server's: a regular file, no symbolic link, writable by its owner only.
 * One that others can read is accepted with a warning. Undefined when there is no such file, and, where that is to be warned about only,
 * when this user may not read it.
 */
export async function readSecretFile(
  path: string,
  warn: (message: string) => void,
  { unreadable = "refuse" }: { readonly unreadable?: "refuse" | "warn" } = {},
): Promise<string | undefined> {
  const file = await openSecret(path, unreadable === "warn" ? warn : undefined);
  if (file === undefined) return undefined;
  try {
    const { mode, size } = await checkedStat(file, path);
    if ((mode & 0o044) !== 0) warn(`warning: ${path} can be read by others; chmod 600 it`);
    if (size > MAX_BYTES) throw unusable(path, "is too large to be a token");
    const secret = (await file.readFile("utf8")).trim();
    if (secret.length < MIN_LENGTH || !/^[\x21-\x7e]+$/.test(secret))
      throw unusable(path, `does not hold a token of ${MIN_LENGTH} characters or more`);
    return secret;
  } finally {
    await file.close();
  }
}

async function openSecret(path: string, warn: ((message: string) => void) | undefined): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    if (code === "ELOOP") throw unusable(path, "is a symbolic link");
    if (code === "EACCES" || code === "EPERM") {
      const refused = unusable(path, "may not be read by this user");
      if (warn === undefined) throw refused;
      warn(`warning: ${refused.message}`);
      return undefined;
    }
    throw unusable(path, "cannot be read", error);
  }
}

async function checkedStat(file: FileHandle, path: string): Promise<{ readonly mode: number; readonly size: number }> {
  const stat = await file.stat();
  if (!stat.isFile()) throw unusable(path, "is not a regular file");
  if ((stat.mode & 0o022) !== 0) throw unusable(path, "can be written by others; chmod 600 it");
  return stat;
}

function unusable(path: string, why: string, cause?: unknown): CliError {
  return new CliError(EXIT.authentication, `the token file ${path} ${why}`, { cause });
}
