import { isIPv4 } from "node:net";
import { CliError, EXIT } from "./failure.ts";

/** Where the registry is when nobody says anything else. */
export const DEFAULT_URL = "http://127.0.0.1:8470";

/**
 * The registry's address, checked: http only to the loopback interface, and no user-info, which would end up in logs and process
 * lists. Throws a usage error.
 */
export function parseServerUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null) throw usage(`must be an http or https address, such as ${DEFAULT_URL}`);
  const broken = RULES.find(([, holds]) => !holds(url));
  if (broken !== undefined) throw usage(broken[0]);
  return url;
}

const RULES: readonly (readonly [string, (url: URL) => boolean])[] = [
  [`must be an http or https address, such as ${DEFAULT_URL}`, ({ protocol, hostname }) => /^https?:$/.test(protocol) && hostname !== ""],
  ["must not hold a user or password: give the credential by --token-file", ({ username, password }) => username + password === ""],
  ["must not have a path, query or fragment", ({ pathname, search, hash }) => /^\/?$/.test(pathname + search + hash)],
  ["must be https: http is for the loopback interface only", ({ protocol, hostname }) => protocol === "https:" || isLoopback(hostname)],
];

/** Is this host (as `URL.hostname` gives it) the machine itself? */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || (isIPv4(hostname) && hostname.startsWith("127."));
}

function usage(rule: string): CliError {
  return new CliError(EXIT.usage, `REGISTRY_URL ${rule}`);
}
