import { once } from "node:events";
import { createServer } from "node:http";

/*
 * A process that takes uploads and forgets them: what a push costs others by its client and by loopback alone, whatever a registry does with the bytes. It says on the channel at
 * which port of loopback it listens, and ends with the channel.
 */

/** What the pusher expects. */
const STATUS: Readonly<Record<string, number>> = { POST: 202, PATCH: 202, PUT: 201, DELETE: 204 };

const server = createServer((incoming, answer) => {
  incoming.resume().once("end", () => answer.writeHead(STATUS[incoming.method ?? ""] ?? 405, { location: "/forgotten" }).end());
}).listen(0, "127.0.0.1");
await once(server, "listening");
process.once("disconnect", () => process.exit(0));
process.send?.(server.address());
