import { once } from "node:events";
import { copyFile, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { type Server, createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TLSSocket, connect } from "node:tls";
import { Writable } from "node:stream";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { followCertificate, readCertificate } from "../../src/http/tls.ts";
import { MetricSet } from "../../src/metrics/metric-set.ts";
import { type SelfSigned, selfSigned } from "../support/certificate.ts";
import { startEdge } from "../support/edge.ts";

/** Long enough for a busy machine; nothing waits so long on a good day. */
vi.setConfig({ testTimeout: 60_000 });
const PATIENT = { timeout: 30_000 };

let folder: string;
let server: Server;
let port: number;
let stop: () => void;
let logged: string[];
let metrics: MetricSet;
const files = (): { cert: string; key: string } => ({ cert: join(folder, "cert.pem"), key: join(folder, "key.pem") });

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "amr-tls-"));
  await write(selfSigned("first"));
  const certificate = await readCertificate(files());
  server = createServer({ cert: certificate.cert, key: certificate.key }, (_, answer) => answer.end("ok"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  port = typeof address === "object" && address !== null ? address.port : 0;
  logged = [];
  const log = pino(
    new Writable({
      write(chunk: Buffer, _, done) {
        logged.push(chunk.toString("utf8"));
        done();
      },
    }),
  );
  metrics = new MetricSet();
  stop = followCertificate(server, files(), { seen: certificate.seen, log, metrics, interval: 20 });
});
afterEach(async () => {
  stop();
  server.close();
  server.closeAllConnections();
  await rm(folder, { recursive: true, force: true });
});

async function write({ cert, key }: SelfSigned): Promise<void> {
  await writeFile(files().cert, cert);
  await writeFile(files().key, key);
}

async function nameShown(): Promise<unknown> {
  const socket: TLSSocket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const { subject } = socket.getPeerCertificate();
  socket.destroy();
  return subject.CN;
}

const logs = (words: string) => (): boolean => logged.some((line) => line.includes(words));

describe("the certificate", () => {
  test("is exchanged when its files change, while open connections stay", async () => {
    const open = connect({ host: "127.0.0.1", port, rejectUnauthorized: false });
    await once(open, "secureConnect");
    expect(await nameShown()).toBe("first");
    await write(selfSigned("second"));
    await vi.waitUntil(async () => (await nameShown()) === "second", PATIENT);
    open.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    const [answer] = (await once(open, "data")) as [Buffer];
    expect(answer.toString("latin1")).toMatch(/^HTTP\/1\.1 200 /);
    open.destroy();
  });

  test("is exchanged when a link is set to another folder, as renewals do", async () => {
    const second = selfSigned("second");
    for (const name of ["cert", "key"] as const) {
      await writeFile(join(folder, `new-${name}.pem`), second[name]);
    }
    for (const name of ["cert", "key"]) {
      await symlink(join(folder, `new-${name}.pem`), join(folder, "link"));
      await rename(join(folder, "link"), join(folder, `${name}.pem`));
    }
    await vi.waitUntil(async () => (await nameShown()) === "second", PATIENT);
    expect(await nameShown()).toBe("second");
  });

  test("stays when the new pair does not belong together, until it does", async () => {
    const second = selfSigned("second");
    await writeFile(files().cert, second.cert);
    await vi.waitUntil(logs("unusable"), PATIENT);
    expect(await nameShown()).toBe("first");
    await writeFile(files().key, second.key);
    await vi.waitUntil(logs("reloaded"), PATIENT);
    expect(await nameShown()).toBe("second");
  });

  test.each(["nonsense", ""])("stays when the new file holds %j, or is gone", async (content) => {
    await writeFile(files().cert, content);
    await vi.waitUntil(logs("unusable"), PATIENT);
    await rm(files().cert);
    await vi.waitUntil(() => logged.filter((line) => line.includes("unusable")).length > 1, PATIENT);
    expect(await nameShown()).toBe("first");
    expect(logged.join("")).not.toContain("PRIVATE KEY");
    const told = logged.filter((line) => line.includes("unusable")).length;
    expect(metrics.snapshot()["registry_config_reload_failures_total"]).toMatchObject([{ value: told }]);
  });

  test("whose key is another one's is refused at the start", async () => {
    const other = join(folder, "other.pem");
    await writeFile(other, selfSigned("other").key);
    await copyFile(files().cert, join(folder, "copy.pem"));
    await expect(readCertificate({ cert: join(folder, "copy.pem"), key: other })).rejects.toThrow("mismatch");
  });
});

test("the edge speaks TLS 1.2 and newer, and nothing older", async () => {
  const doors = [{ method: "GET", path: "/ok", action: "open", handle: () => new Response("ok") }] as const;
  const edge = await startEdge({ doors, tls: selfSigned("edge"), publicUrl: "https://127.0.0.1" });
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    const socket = connect({ host: "127.0.0.1", port: edge.port, rejectUnauthorized: false, minVersion: version, maxVersion: version });
    await once(socket, "secureConnect");
    expect(socket.getProtocol()).toBe(version);
    socket.destroy();
  }
  const old = connect({ host: "127.0.0.1", port: edge.port, rejectUnauthorized: false, minVersion: "TLSv1.1", maxVersion: "TLSv1.1" });
  await expect(once(old, "secureConnect")).rejects.toThrow(/protocol|alert|version/i);
  await edge.stop();
});
