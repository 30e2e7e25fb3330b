import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { DataDirectory } from "./data-directory.ts";
import { writeOwnFile } from "./secret-file.ts";

/** The secrets of a data directory in base64, by their paths in it. */
export type SecretFiles = Readonly<Record<string, string>>;

/** Reads the secrets that the metadata rest on: without them no key would be known, and nothing be signed. */
export async function readSecretFiles({ root, credentials }: DataDirectory["paths"]): Promise<SecretFiles> {
  const names = (await readdir(credentials)).filter((name) => !name.startsWith(".")).toSorted();
  const paths = [join("metadata", "secret"), ...names.map((name) => join("credentials", name))];
  const read = async (path: string): Promise<readonly [string, string]> => [path, await readFile(join(root, path), "base64")];
  return Object.fromEntries(await Promise.all(paths.map(read)));
}

/** Writes secrets into a data directory that has none. */
export async function writeSecretFiles(root: string, secrets: SecretFiles): Promise<void> {
  for (const [path, text] of Object.entries(secrets)) await writeOwnFile(join(root, path), Buffer.from(text, "base64"));
}
