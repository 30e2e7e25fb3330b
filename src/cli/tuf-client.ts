import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { CliError, EXIT } from "./failure.ts";
import { isLoopback } from "./server-url.ts";

const TARGET = "trusted_root.json";
const ROLES = ["root", "timestamp", "snapshot", "targets"] as const;
/** A mirror that says nothing for so long (ms) is out of reach. */
const TIMEOUT = 15_000;
const RETRY = { retries: 2, minTimeout: 200 };

/** A TUF repository, and the root metadata that an operator trusts it by. */
export interface TufRepository {
  readonly mirror: URL;
  readonly root: Uint8Array;
}

/** A trusted root as its TUF repository has it now; times are epoch milliseconds. */
export interface FetchedTarget {
  readonly text: string;
  readonly fetchedAt: number;
  /** When the first of the roles' metadata expires. */
  readonly expiresAt: number;
  readonly versions: Readonly<Record<(typeof ROLES)[number], number>>;
}

/** Checks the address of a mirror: its metadata are signed, but over http anybody on the way could keep it at an old state. Throws a usage error. */
export function parseMirror(text: string): URL {
  const url = URL.parse(text);
  if (url === null || !(url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url.hostname)))) {
    throw new CliError(EXIT.usage, "a mirror must be an https address; http is for the loopback interface only");
  }
  if (url.username + url.password + url.search + url.hash !== "") {
    throw new CliError(EXIT.usage, "the address of a mirror must have no user, password, query or fragment");
  }
  return url;
}

/** The public-good instance of Sigstore, with the root metadata that come with the client. */
export async function publicGood(): Promise<TufRepository> {
  const { DEFAULT_MIRROR_URL } = await import("@sigstore/tuf");
  const { default: seeds } = await import("@sigstore/tuf/seeds.json", { with: { type: "json" } });
  return { mirror: new URL(DEFAULT_MIRROR_URL), root: Buffer.from(seeds[DEFAULT_MIRROR_URL]["root.json"], "base64") };
}

/**
 * Fetches the trusted root of a TUF repository, beginning with root metadata that are trusted already. Nothing is kept on this machine: what
 * must not fall behind an earlier update is compared by the registry. Throws an integrity failure for whatever does not verify.
 */
export async function fetchTrustedRoot({ mirror, root }: TufRepository): Promise<FetchedTarget> {
  const folder = await mkdtemp(join(tmpdir(), "securectl-tuf-"));
  try {
    const [rootPath, cachePath] = [join(folder, "root.json"), join(folder, "cache")];
    await writeFile(rootPath, root);
    const { initTUF } = await import("@sigstore/tuf");
    const mirrorURL = mirror.href.replace(/\/+$/, "");
    const fetchedAt = Date.now();
    const client = await initTUF({ mirrorURL, rootPath, cachePath, retry: RETRY, timeout: TIMEOUT });
    const text = await client.getTarget(TARGET);
    return { text, fetchedAt, ...(await metadataIn(cachePath)) };
  } catch (error) {
    throw failureOf(mirror, error);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const metadataSchema = z.looseObject({ signed: z.looseObject({ version: z.int().positive(), expires: z.iso.datetime({ offset: true }) }) });

/** What the client verified last, as it keeps it: each repository in a folder of its own. */
async function metadataIn(cachePath: string): Promise<Pick<FetchedTarget, "expiresAt" | "versions">> {
  const [repository = ""] = await readdir(cachePath);
  const read = async (role: string): Promise<z.infer<typeof metadataSchema>["signed"]> =>
    metadataSchema.parse(JSON.parse(await readFile(join(cachePath, repository, `${role}.json`), "utf8"))).signed;
  const [root, timestamp, snapshot, targets] = [await read("root"), await read("timestamp"), await read("snapshot"), await read("targets")];
  return {
    expiresAt: Math.min(...[root, timestamp, snapshot, targets].map(({ expires }) => Date.parse(expires))),
    versions: { root: root.version, timestamp: timestamp.version, snapshot: snapshot.version, targets: targets.version },
  };
}

/** Of what the client wraps only the words are left. */
const OUT_OF_REACH = /fetch failed|Failed to download|timed? ?out|aborted/i;

function failureOf(mirror: URL, error: unknown): CliError {
  if (error instanceof CliError) return error;
  const reasons = reasonsOf(error);
  const reason = reasons.at(-1) ?? "it failed";
  if (reasons.some((each) => OUT_OF_REACH.test(each))) {
    return new CliError(EXIT.unavailable, `the TUF repository at ${mirror.href} cannot be read: ${reason}`, { cause: error });
  }
  return new CliError(EXIT.integrity, `the TUF repository at ${mirror.href} cannot be trusted: ${reason}`, { cause: error });
}

/** What went wrong, from the outside in. */
function reasonsOf(error: unknown): readonly string[] {
  if (!(error instanceof Error)) return [];
  return [error.message, ...reasonsOf(error.cause)].filter((reason) => reason !== "");
}
