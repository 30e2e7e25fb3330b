import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { createServer } from "node:tls";
import { mustRun } from "../run-program.ts";

/** Something in front of a registry that does TLS for it. */
export interface TlsFront {
  /** host:port, as clients write it. */
  readonly host: string;
  /** What a client's certificate store has to hold. */
  readonly certificate: string;
  /** What the registry has to be told of it. */
  readonly settings: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

/** Takes TLS off what comes, with a certificate of its own making, and hands it to a registry on this machine. */
export async function startTlsFront(folder: string, registryPort: number): Promise<TlsFront> {
  const [certificate, key] = [join(folder, "front.pem"), join(folder, "front.key")];
  const kind = ["-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "1"];
  const names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
  await mustRun("openssl", ["req", ...kind, ...names, "-keyout", key, "-out", certificate]);
  const server = createServer({ key: await readFile(key), cert: await readFile(certificate) }, (client) => {
    const registry = connect(registryPort, "127.0.0.1");
    // Whichever ends first takes the other with it.
    for (const [one, other] of [[client, registry] as const, [registry, client] as const]) {
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
      one.pipe(other);
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the system gave no port");
  const host = `127.0.0.1:${address.port}`;
  const close = async (): Promise<void> => {
    server.close();
    await once(server, "close");
  };
  return { host, certificate, settings: { PUBLIC_URL: `https://${host}`, TLS_TERMINATED_BY_PROXY: "true" }, close };
}
