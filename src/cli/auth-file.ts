import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { CliError, EXIT } from "./failure.ts";

/** What a login of docker or podman left for a registry: a name and password, or an identity (refresh) token. */
export interface StoredLogin {
  readonly user: string;
  readonly secret: string;
  readonly kind: "password" | "refresh-token";
  /** The file that held it. */
  readonly file: string;
}

const MAX_BYTES = 1024 * 1024;
const HELPER_MILLISECONDS = 30_000;
/** The user name under which docker and its helpers keep an identity token. */
const TOKEN_USER = "<token>";

const authFileSchema = z.object({
  auths: z.record(z.string(), z.object({ auth: z.string().optional(), identitytoken: z.string().optional() })).optional(),
  credsStore: z.string().optional(),
  credHelpers: z.record(z.string(), z.string()).optional(),
});
type AuthFile = z.infer<typeof authFileSchema>;

/** The login for a registry in the first auth file of docker or podman that has one (containers-auth.json(5), docker's config.json). */
export async function findLogin(server: URL, env: NodeJS.ProcessEnv): Promise<StoredLogin | undefined> {
  for (const file of authFiles(env)) {
    const content = await readAuthFile(file);
    const login = content && (await loginIn(content, { server, file, env }));
    if (login !== undefined) return login;
  }
  return undefined;
}

/** Podman's places first, then docker's; a file that is named alone counts. */
function authFiles(env: NodeJS.ProcessEnv): readonly string[] {
  const { REGISTRY_AUTH_FILE: named, XDG_RUNTIME_DIR: runtime, XDG_CONFIG_HOME: config, DOCKER_CONFIG: docker, HOME: home } = env;
  if (named !== undefined && named !== "") return [named];
  const podman = [runtime && join(runtime, "containers/auth.json"), config && join(config, "containers/auth.json")];
  const own = home === undefined ? [] : [join(home, ".config/containers/auth.json")];
  const dockers = docker ? [join(docker, "config.json")] : home === undefined ? [] : [join(home, ".docker/config.json")];
  return [...podman.filter((file): file is string => Boolean(file)), ...own, ...dockers];
}

async function readAuthFile(file: string): Promise<AuthFile | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch {
    return undefined;
  }
  // Podman leaves an empty file behind a logout.
  if (text.trim() === "") return undefined;
  try {
    if (text.length > MAX_BYTES) throw new TypeError("too large");
    return authFileSchema.parse(JSON.parse(text));
  } catch (error) {
    // The parser's own message could quote a secret.
    throw new CliError(EXIT.authentication, `${file} is not an auth file of docker or podman`, { cause: error });
  }
}

interface Place {
  readonly server: URL;
  readonly file: string;
  readonly env: NodeJS.ProcessEnv;
}

async function loginIn(content: AuthFile, place: Place): Promise<StoredLogin | undefined> {
  const { server, file } = place;
  const names = [server.host, server.origin, `${server.origin}/v2/`, `${server.origin}/v1/`];
  const helper = names.map((name) => content.credHelpers?.[name]).find((name) => name !== undefined);
  if (helper !== undefined) return askHelper(helper, place);
  for (const name of names) {
    const entry = Object.hasOwn(content.auths ?? {}, name) ? content.auths?.[name] : undefined;
    const login = entry && parseEntry(entry, file);
    if (login !== undefined) return login;
  }
  return content.credsStore === undefined ? undefined : askHelper(content.credsStore, place);
}

function parseEntry(
  entry: { readonly auth?: string | undefined; readonly identitytoken?: string | undefined },
  file: string,
): StoredLogin | undefined {
  const pair = Buffer.from(entry.auth ?? "", "base64").toString("utf8");
  const colon = pair.indexOf(":");
  const [user, secret] = [pair.slice(0, Math.max(colon, 0)), pair.slice(colon + 1)];
  if (entry.identitytoken) return { user, secret: entry.identitytoken, kind: "refresh-token", file };
  return colon > 0 && secret !== "" ? { user, secret, kind: "password", file } : undefined;
}

/** The protocol of docker-credential-helpers: the registry on stdin, `{Username, Secret}` on stdout; a failure means that it has none. */
async function askHelper(helper: string, { server, file, env }: Place): Promise<StoredLogin | undefined> {
  if (!/^[\w.-]+$/.test(helper)) throw new CliError(EXIT.authentication, `${file} names a credential helper that cannot be one`);
  const run = promisify(execFile)(`docker-credential-${helper}`, ["get"], { env, timeout: HELPER_MILLISECONDS, maxBuffer: MAX_BYTES });
  // A helper that is not installed closes its input before it is written to; the rejection of `run` tells.
  run.child.stdin?.on("error", () => undefined).end(server.host);
  try {
    const { stdout } = await run;
    const { Username: user, Secret: secret } = z.object({ Username: z.string(), Secret: z.string().min(1) }).parse(JSON.parse(stdout));
    return { user, secret, kind: user === TOKEN_USER ? "refresh-token" : "password", file };
  } catch {
    return undefined;
  }
}
