import cluster, { type Worker } from "node:cluster";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { join } from "node:path";
import { UntakenConnections } from "../../src/untaken-connections.ts";

/**
 * `hand-over.ts <folder> <alone | beside | killed>`: hands a connection to a worker that stands still, and then closes its listener, alone or
 * beside another worker, or is killed. Says what the client got until its connection ended, and how many workers were there then.
 */
const [, , folder = "", how = ""] = process.argv;
const GO_ON = join(folder, "go-on");

async function lead(): Promise<void> {
  const untaken = new UntakenConnections();
  const start = (): Worker => {
    const worker = cluster.fork();
    untaken.watch(worker);
    return worker;
  };
  const worker = start();
  const [{ port }] = (await once(worker, "listening")) as [AddressInfo];
  const handed = new Promise<void>((resolve) => {
    const send: (...args: never[]) => boolean = worker.process.send.bind(worker.process);
    worker.process.send = (...args: unknown[]): boolean => {
      if (args[1] !== undefined && args[1] !== null) resolve();
      return Boolean(Reflect.apply(send, worker.process, args));
    };
  });
  worker.send("stand still");
  await once(worker, "message");
  const client = connect({ port, host: "127.0.0.1" });
  let got = "";
  client.on("data", (bytes: Buffer) => (got += bytes.toString()));
  client.on("error", () => undefined);
  await handed;
  if (how === "beside") await once(start(), "listening");
  if (how === "killed") worker.process.kill("SIGKILL");
  else writeFileSync(GO_ON, "");
  if (!client.closed) await once(client, "close");
  process.stdout.write(`${got}\n${Object.keys(cluster.workers ?? {}).length}\n`);
}

function follow(): void {
  const server = createServer((socket) => socket.end("hello"));
  server.listen({ port: 0, host: "127.0.0.1" });
  process.on("message", () => {
    process.send?.("standing still");
    while (!existsSync(GO_ON));
    server.close();
  });
}

if (cluster.isPrimary) await lead();
else follow();
