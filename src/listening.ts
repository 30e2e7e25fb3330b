import { once } from "node:events";
import type { Server } from "node:net";
import { isLoopback, isWildcard } from "./settings.ts";

/** Where a worker listens. */
export interface Listening {
  readonly port: number;
  /** A socket that listens there already, as a descriptor of the primary; undefined where the workers open it. */
  readonly descriptor?: number | undefined;
}

/**
 * Listens on the address that a setting names, with the other workers. Rejects when a socket that was passed listens anywhere else: what is
 * safe is judged by the address.
 */
export async function listen(server: Server, host: string, { port, descriptor }: Listening, setting = "BIND_ADDR"): Promise<void> {
  server.listen(descriptor === undefined ? { host: host === "" ? undefined : host, port } : { fd: descriptor });
  await once(server, "listening");
  const address = server.address();
  if (descriptor === undefined) return;
  if (typeof address !== "object" || address === null) throw new Error("the socket that was passed is not one of TCP");
  if (address.port === port && isSameHost(host, address.address)) return;
  throw new Error(`${setting}: must be the address of the socket that was passed, which is ${address.address} port ${address.port}`);
}

function isSameHost(host: string, address: string): boolean {
  if (host === "localhost") return isLoopback(address);
  return host === address || (isWildcard(host) && isWildcard(address));
}
