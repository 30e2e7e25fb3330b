import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { Readable } from "node:stream";
import { findLogin } from "./auth-file.ts";
import { CliError, EXIT } from "./failure.ts";
import { readSecretFile } from "./secret-file.ts";
import { isLoopback } from "./server-url.ts";

/** Whose credential of a checkout or an appliance a command takes when none is given (RULES 22): a file of `<REGISTRY_DIR>/credentials`. */
export type Role = "publisher" | "runtime" | "operator" | "service-token";

/** The server's, where REGISTRY_DIR names no other. */
export const DEFAULT_DIRECTORY = "data";

/** Where the predecessor's client looked when it was told nothing else. */
const PREDECESSORS_TOKEN = "/run/secure-ai/service-token";

/** What a command shows the registry. `token`: an API key or the service token, whose identity only the registry knows. */
export type Credential = (
  | { readonly kind: "token"; readonly secret: string }
  | { readonly kind: "password"; readonly user: string; readonly secret: string }
  | { readonly kind: "refresh-token"; readonly user: string; readonly secret: string }
) & {
  /** Where it was found, for people. */
  readonly source: string;
  /** Named by whoever called, or found where nothing was named. */
  readonly found: "given" | "looked for";
};

export interface Search {
  readonly server: URL;
  readonly role: Role;
  /** Will it be shown to `/v2`, where the service token is not known? */
  readonly distribution: boolean;
  readonly tokenFile: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly stdin: Readable;
  readonly warn: (message: string) => void;
}

/**
 * The credential for a command: `--token-file`, SECURECTL_TOKEN, SERVICE_TOKEN_PATH, then what a login of docker or podman left and the
 * registry's own files on this machine. Transfers prefer the login, as the stock clients do. Everything else prefers the
 * registry's own file: whoever logged in to push with oras did not mean to promote as publisher. Undefined when there is none.
 */
export async function findCredential(search: Search, predecessorsToken = PREDECESSORS_TOKEN): Promise<Credential | undefined> {
  const given = (await fromTokenFile(search)) ?? fromEnvironment(search.env) ?? (await fromServiceToken(search));
  return given ?? lookedFor(search, predecessorsToken);
}

async function lookedFor(search: Search, predecessorsToken: string): Promise<Credential | undefined> {
  if (search.role === "publisher" || search.role === "runtime") return (await fromLogin(search)) ?? fromDataDirectory(search);
  const own = search.role === "service-token" ? await fromMachine(search, predecessorsToken) : undefined;
  return own ?? (await fromDataDirectory(search)) ?? fromLogin(search);
}

async function fromTokenFile({ tokenFile, stdin, warn }: Search): Promise<Credential | undefined> {
  if (tokenFile === undefined) return undefined;
  if (tokenFile === "-")
    return { kind: "token", secret: checked(await text(stdin), "standard input"), source: "standard input", found: "given" };
  const secret = await readSecretFile(tokenFile, warn);
  if (secret === undefined) throw new CliError(EXIT.authentication, `there is no token file ${tokenFile}`);
  return { kind: "token", secret, source: tokenFile, found: "given" };
}

function fromEnvironment({ SECURECTL_TOKEN: secret }: NodeJS.ProcessEnv): Credential | undefined {
  if (secret === undefined || secret === "") return undefined;
  return { kind: "token", secret: checked(secret, "SECURECTL_TOKEN"), source: "SECURECTL_TOKEN", found: "given" };
}

/** What cannot stand in a header is not a token, and must not get into an error either. */
function checked(secret: string, source: string): string {
  const trimmed = secret.trim();
  if (!/^[\x21-\x7e]+$/.test(trimmed)) throw new CliError(EXIT.authentication, `${source} does not hold a token`);
  return trimmed;
}

/** The variable is the server's too, and its token is good for `/v1` only: a transfer takes it when it is an API key. */
async function fromServiceToken({ env, distribution, warn }: Search): Promise<Credential | undefined> {
  const path = env["SERVICE_TOKEN_PATH"];
  if (path === undefined || path === "") return undefined;
  const secret = await readSecretFile(path, warn);
  if (secret === undefined) throw new CliError(EXIT.authentication, `there is no token file ${path} (SERVICE_TOKEN_PATH)`);
  return distribution && !secret.startsWith("amr_") ? undefined : { kind: "token", secret, source: path, found: "looked for" };
}

async function fromLogin({ server, env }: Search): Promise<Credential | undefined> {
  const login = await findLogin(server, env);
  return login && { kind: login.kind, user: login.user, secret: login.secret, source: login.file, found: "looked for" };
}

/** The name of the file is the user name to log in with, but for the service token, which belongs to nobody. */
async function fromDataDirectory(search: Search): Promise<Credential | undefined> {
  const file = join(search.env["REGISTRY_DIR"] || DEFAULT_DIRECTORY, "credentials", search.role);
  return fromMachine(search, file);
}

/**
 * A file of the registry on this machine, which no other registry is shown. One that this user may not read is none, since programs of
 * the machine may look without it.
 */
async function fromMachine({ server, role, warn }: Search, file: string): Promise<Credential | undefined> {
  if (!isLoopback(server.hostname)) return undefined;
  const secret = await readSecretFile(file, warn, { unreadable: "warn" });
  if (secret === undefined) return undefined;
  const place = { secret, source: file, found: "looked for" } as const;
  return role === "service-token" ? { kind: "token", ...place } : { kind: "password", user: role, ...place };
}
