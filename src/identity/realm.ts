/** Where the registry says it is, and what a challenge says of it. */
export interface Realm {
  /** The address of the token endpoint. */
  readonly realm: string;
  /** The audience that clients name when they ask for a token there. */
  readonly service: string;
}

/** What the names of the registry are made of. `publicUrl` is without a trailing slash; `port` is the one that listens. */
export interface Listening {
  readonly publicUrl: string | undefined;
  readonly scheme: "http" | "https";
  readonly host: string;
  readonly port: number;
}

const LOOPBACK_NAMES = ["127.0.0.1", "localhost", "[::1]"];
const LOOPBACK = /^(?:127(?:\.\d{1,3}){3}|localhost|\[::1\])$/;

/**
 * Chooses what a challenge names (RULES 20). PUBLIC_URL alone, when it is set: a realm made from a free `Host` would let an attacker
 * collect passwords. On a loopback bind without it, the loopback name that the client used, since crane refuses a realm on another one.
 */
export function realmChooser({ publicUrl, scheme, host, port }: Listening): (hostHeader: string | undefined) => Realm {
  const bound = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  const first = realmAt(publicUrl ?? `${scheme}://${bound}:${port}`);
  if (publicUrl !== undefined || !LOOPBACK.test(bound)) return () => first;
  const realms = new Map(LOOPBACK_NAMES.map((name) => realmAt(`${scheme}://${name}:${port}`)).map((realm) => [realm.service, realm]));
  return (hostHeader) => realms.get(hostHeader ?? "") ?? first;
}

function realmAt(origin: string): Realm {
  const url = new URL(origin);
  return { realm: `${url.origin}/auth/token`, service: url.host };
}
