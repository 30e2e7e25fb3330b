import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { Agent, type IncomingMessage, request } from "node:http";
import { request as requestSecurely } from "node:https";
import { type Socket, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { kill } from "node:process";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { holderOf } from "../conformance/socket-holder.ts";
import { type SelfSigned, selfSigned } from "./support/certificate.ts";
import { type Program, basicOf, runProgram, urlOf } from "./support/program.ts";
import { underWayIn } from "./support/under-way.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const PATIENT = { timeout: 30_000 };

let directory: string;
const programs: Program[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "amr-main-"));
});
afterEach(async () => {
  await Promise.all(programs.splice(0).map((program) => program.kill()));
  await rm(directory, { recursive: true, force: true });
});

function start(env: Readonly<Record<string, string>> = {}, args: readonly string[] = []): Program {
  const program = runProgram({ BIND_ADDR: "127.0.0.1:0", REGISTRY_DIR: join(directory, "data"), WORKERS: "1", ...env }, args);
  programs.push(program);
  return program;
}

const data = (...path: string[]): string => join(directory, "data", ...path);

describe("the first start", () => {
  test("makes credentials that only their owner reads, and prints commands that read them, but no secret", async () => {
    const program = start({ LOG_LEVEL: "trace" });
    const url = await urlOf(program);
    const all = (await readdir(data("credentials"))).toSorted();
    expect(all).toEqual([
      expect.stringMatching(/^attestation-key-[0-9a-f]{32}\.pem$/),
      "operator",
      "publisher",
      "runtime",
      "service-token",
    ]);
    const [key = "", ...files] = all;
    expect((await stat(data("credentials", key))).mode & 0o777).toBe(0o600);
    expect(await readFile(data("credentials", key), "utf8")).toMatch(/^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
    const secrets = await Promise.all(files.map(async (file) => (await readFile(data("credentials", file), "utf8")).trim()));
    const modes = await Promise.all(files.map(async (file) => (await stat(data("credentials", file))).mode & 0o777));
    expect(modes).toEqual([0o600, 0o600, 0o600, 0o600]);
    // Requests with secrets in every place where one could be: the right ones, wrong ones, and some in the wrong place.
    const canaries = ["amr_canary0123456789canary0123456789cana", "eyJhbGciOiJub25lIn0.eyJjYW5hcnkiOjF9.c2lnbmF0dXJl"];
    for (const secret of [...secrets, ...canaries]) {
      for (const authorization of [`Bearer ${secret}`, `Basic ${Buffer.from(`publisher:${secret}`).toString("base64")}`]) {
        await fetch(`${url}/v2/models/a/tags/list?token=${secret}`, { headers: { authorization, cookie: `sid=${secret}` } });
        await fetch(`${url}/v1/artifacts`, { method: "POST", headers: { authorization }, body: JSON.stringify({ reason: secret }) });
      }
    }
    expect(program.err()).toContain(`${data("credentials")}/publisher`);
    expect(program.err()).toContain("securectl promote models/hello:v1");
    expect(await program.stop()).toBe(0);
    for (const secret of [...secrets, ...canaries]) expect(program.out() + program.err()).not.toContain(secret);
    expect(program.log().map(({ msg }) => msg)).toEqual(expect.arrayContaining(["listening", "stopping", "stopped"]));
  });

  test("is the only one: later ones print no steps, keep what is there and make no file anew", async () => {
    const first = start();
    await urlOf(first);
    await first.stop();
    await rename(data("credentials", "operator"), join(directory, "operator"));
    const second = start();
    const url = await urlOf(second);
    expect(second.err()).toBe("");
    expect(existsSync(data("credentials", "operator"))).toBe(false);
    expect((await fetch(`${url}/v2/`, { headers: await basicOf(join(directory, "data"), "publisher") })).status).toBe(200);
    await second.stop();
  });
});

describe("a start is refused", () => {
  test("over a directory in use", async () => {
    const first = start();
    await urlOf(first);
    const second = start();
    expect(await second.ended).toBe(1);
    expect(second.err()).toMatch(/in use by another registry/);
    expect(first.process.exitCode).toBeNull();
  });

  test("on a port in use, before anything serves", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const address = other.address();
    const program = start({ BIND_ADDR: `127.0.0.1:${typeof address === "object" ? address?.port : ""}` });
    expect(await program.ended).toBe(1);
    expect(program.err()).toMatch(/BIND_ADDR.*EADDRINUSE/);
    other.close();
  });

  test("by an unsafe configuration, with every reason at once, and makes nothing", async () => {
    const program = start({ BIND_ADDR: "0.0.0.0:0", REGISTRY_UNKNOWN: "1", INSECURE_DEV_MODE: "yes", TLS_CERT_PATH: "/nowhere" });
    expect(await program.ended).toBe(1);
    for (const reason of ["REGISTRY_UNKNOWN", "PUBLIC_URL", "INSECURE_DEV_MODE", "TLS_CERT_PATH"]) expect(program.err()).toContain(reason);
    expect(existsSync(data())).toBe(false);
  });

  test("by certificate files that are none", async () => {
    const program = start({ TLS_CERT_PATH: join(directory, "cert"), TLS_KEY_PATH: join(directory, "key") });
    expect(await program.ended).toBe(1);
    expect(program.err()).toMatch(/TLS_CERT_PATH/);
  });
});

test("a service token that is nowhere is told of, and not made: the path is somebody's", async () => {
  const path = join(directory, "absent");
  const program = start({ SERVICE_TOKEN_PATH: path });
  await urlOf(program);
  expect(program.log()).toContainEqual(
    expect.objectContaining({ level: 40, path, msg: expect.stringContaining("the service token is off") as string }),
  );
  expect(existsSync(path)).toBe(false);
  expect(await program.stop()).toBe(0);
});

describe("the command line", () => {
  test.each([
    [["--help"], 0, /Usage: ai-model-registry/],
    [["--version"], 0, /^\d+\.\d+\.\d+\n$/],
    [["-h"], 0, /Usage: ai-model-registry/],
    [["nonsense"], 2, /unknown command: nonsense\n\nUsage: ai-model-registry/],
    [["--nonsense"], 2, /Unknown option '--nonsense'[^]*Usage: ai-model-registry/],
    [["recover", "--at-least", "3"], 2, /recover takes no --at-least/],
  ])("%j ends with %i and touches nothing", async (args, code, words) => {
    const program = start({}, args);
    expect(await program.ended).toBe(code);
    expect(program.out() + program.err()).toMatch(words);
    expect(existsSync(data())).toBe(false);
  });

  test("recover makes a new operator key beside a running server, and shows where it is, not what it is", async () => {
    const program = start();
    const url = await urlOf(program);
    const before = await basicOf(join(directory, "data"), "operator");
    const recovery = start({}, ["recover"]);
    expect(await recovery.ended).toBe(0);
    const after = await basicOf(join(directory, "data"), "operator");
    expect(after).not.toEqual(before);
    expect(recovery.out()).toContain(data("credentials", "operator"));
    expect(recovery.out()).not.toContain((await readFile(data("credentials", "operator"), "utf8")).trim());
    for (const headers of [before, after]) expect((await fetch(`${url}/v2/`, { headers })).status).toBe(200);
  });

  test("recover where there is no registry is refused", async () => {
    const recovery = start({}, ["recover"]);
    expect(await recovery.ended).toBe(1);
    expect(recovery.err()).toContain("holds no registry");
  });
});

describe("workers", () => {
  test("that crash are started again on the same port, also when there was only one", async () => {
    const program = start();
    const url = await urlOf(program);
    for (let crash = 1; crash <= 2; crash += 1) {
      const { worker } = await program.logged("worker serves", crash);
      process.kill(Number(worker), "SIGKILL");
      await program.logged("worker serves", crash + 1);
      expect((await fetch(`${url}/health`)).status).toBe(200);
    }
    expect(await program.stop()).toBe(0);
  });

  test("are as many as are asked for, and the others go on while one is replaced", async () => {
    const program = start({ WORKERS: "2" });
    const url = await urlOf(program);
    const { worker } = await program.logged("worker serves", 2);
    process.kill(Number(worker), "SIGKILL");
    // What it was given in its last moment is lost with it.
    await program.logged("worker ended; another one is started");
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    await program.logged("worker serves", 3);
    expect(await program.stop()).toBe(0);
  });

  test("that are killed before they took a connection leave no client waiting for ever", async () => {
    const program = start();
    const url = await urlOf(program);
    const { worker } = await program.logged("worker serves");
    // It is given connections, and takes none.
    process.kill(Number(worker), "SIGSTOP");
    const agent = new Agent();
    const asked = Array.from({ length: 3 }, () => request(`${url}/livez`, { agent }).end());
    const ended = asked.map((each) => once(each, "error"));
    const sockets = await Promise.all(asked.map(async (each) => ((await once(each, "socket")) as [Socket])[0]));
    const isHeld = ({ localPort }: Socket): boolean => holderOf(localPort ?? 0, [program.process.pid ?? 0]) !== undefined;
    await vi.waitUntil(() => sockets.every(isHeld), PATIENT);
    process.kill(Number(worker), "SIGKILL");
    await Promise.all(ended);
    await program.logged("worker serves", 2);
    expect((await fetch(`${url}/livez`)).status).toBe(200);
  });

  test("end with the primary, however it ends, and the next start goes on", async () => {
    const program = start();
    const url = await urlOf(program);
    program.process.kill("SIGKILL");
    // The output is closed only when the worker, which shares it, has ended as well.
    expect(await program.ended).toBe("SIGKILL");
    await expect(fetch(`${url}/livez`)).rejects.toThrow("fetch failed");
    await urlOf(start());
  });
});

async function askSecurely(url: string, ca: string): Promise<IncomingMessage> {
  const asked = requestSecurely(`${url}/v2/`, { ca, agent: false }).end();
  const [answer] = (await once(asked, "response")) as [IncomingMessage];
  await text(answer);
  return answer;
}

describe("with TLS", () => {
  test("clients are sent to https, told to stay there, and get a renewed certificate without a restart", async () => {
    const files = { cert: join(directory, "cert.pem"), key: join(directory, "key.pem") };
    const write = async ({ cert, key }: SelfSigned): Promise<void> => {
      await writeFile(files.cert, cert);
      await writeFile(files.key, key);
    };
    const [first, second] = [selfSigned("first"), selfSigned("second")];
    await write(first);
    const program = start({ TLS_CERT_PATH: files.cert, TLS_KEY_PATH: files.key, WORKERS: "2" });
    const url = await urlOf(program);
    const answer = await askSecurely(url, first.cert);
    expect([answer.statusCode, answer.headers["www-authenticate"]]).toEqual([401, expect.stringContaining(`realm="${url}/auth/token"`)]);
    expect(answer.headers["strict-transport-security"]).toMatch(/^max-age=/);
    expect(program.err()).not.toContain("--plain-http");
    await write(second);
    await program.logged("TLS certificate reloaded", 2);
    expect((await askSecurely(url, second.cert)).statusCode).toBe(401);
    await expect(askSecurely(url, first.cert)).rejects.toThrow("self-signed certificate");
    expect(await program.stop()).toBe(0);
  });
});

/** A client that keeps one connection and asks again and again, until the server says that it is the last time. */
async function hammer(url: string, answers: { status: number; close: boolean }[]): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (;;) {
    const asked = request(`${url}/livez`, { agent }).end();
    const [answer] = (await once(asked, "response")) as [IncomingMessage];
    await text(answer);
    const close = answer.headers.connection === "close";
    answers.push({ status: answer.statusCode ?? 0, close });
    if (close) return;
  }
}

describe("SIGTERM", () => {
  test.each(["SIGTERM", "SIGINT"] as const)("(%s) loses no request of clients under load, and ends with 0", async (signal) => {
    const program = start({ WORKERS: "2" });
    const url = await urlOf(program);
    const answers: { status: number; close: boolean }[] = [];
    const clients = Array.from({ length: 8 }, () => hammer(url, answers));
    await vi.waitUntil(() => answers.length > 200, PATIENT);
    program.process.kill(signal);
    await Promise.all(clients);
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    expect(answers.filter(({ close }) => close)).toHaveLength(8);
    expect(await program.ended).toBe(0);
  });

  test("lets an upload end that is under way, says so by /readyz, and takes no new connection", async () => {
    const program = start();
    const url = await urlOf(program);
    const headers = await basicOf(join(directory, "data"), "publisher");
    const begun = await fetch(`${url}/v2/models/a/blobs/uploads/`, { method: "POST", headers });
    const location = new URL(begun.headers.get("location") ?? "", url);
    const kept = new Agent({ keepAlive: true, maxSockets: 1 });
    const ready = request(`${url}/livez`, { agent: kept }).end();
    await text(((await once(ready, "response")) as [IncomingMessage])[0]);
    const upload = request(location, { method: "PATCH", headers: { ...headers, "content-length": "10" }, agent: new Agent() });
    upload.write("01234");
    await vi.waitUntil(async () => {
      const staged = await underWayIn(data("."));
      return staged.length > 0;
    }, PATIENT);
    program.process.kill("SIGTERM");
    await program.logged("stopping");
    const asked = request(`${url}/readyz`, { agent: kept }).end();
    const [notReady] = (await once(asked, "response")) as [IncomingMessage];
    expect([notReady.statusCode, notReady.headers.connection, await text(notReady)]).toEqual([503, "close", '{"status":"draining"}']);
    await vi.waitUntil(
      () =>
        fetch(`${url}/livez`).then(
          () => false,
          () => true,
        ),
      PATIENT,
    );
    upload.end("56789");
    const [answer] = (await once(upload, "response")) as [IncomingMessage];
    await text(answer);
    expect([answer.statusCode, answer.headers.range]).toEqual([202, "0-9"]);
    expect(await program.ended).toBe(0);
  });

  test("cuts what does not end in its time, and ends with 0 all the same", async () => {
    const program = start({ REGISTRY_SHUTDOWN_GRACE: "1s" });
    const url = await urlOf(program);
    const headers = await basicOf(join(directory, "data"), "publisher");
    const begun = await fetch(`${url}/v2/models/a/blobs/uploads/`, { method: "POST", headers });
    const location = new URL(begun.headers.get("location") ?? "", url);
    const upload = request(location, { method: "PATCH", headers: { ...headers, "content-length": "10" } });
    const cut = once(upload, "error");
    upload.write("01234");
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    expect(await program.stop()).toBe(0);
    await cut;
    expect(program.log().map(({ msg }) => msg)).toContain("requests were cut when their time to end was over");
  });

  test("that comes while workers still start ends them all, and none is started again", async () => {
    const program = start({ WORKERS: "3" });
    await program.logged("worker serves");
    expect(await program.stop()).toBe(0);
    expect(program.log().filter(({ msg }) => msg === "worker ended; another one is started")).toEqual([]);
  });

  test("given twice ends at once", async () => {
    const program = start({ REGISTRY_SHUTDOWN_GRACE: "24d" });
    const url = await urlOf(program);
    const headers = await basicOf(join(directory, "data"), "publisher");
    const begun = await fetch(`${url}/v2/models/a/blobs/uploads/`, { method: "POST", headers });
    const upload = request(new URL(begun.headers.get("location") ?? "", url), {
      method: "PATCH",
      headers: { ...headers, "content-length": "10" },
    });
    const cut = once(upload, "error");
    upload.write("01234");
    await fetch(`${url}/livez`);
    program.process.kill("SIGTERM");
    await program.logged("stopping");
    expect(await program.stop()).toBe(0);
    await cut;
  });
});

test("SIGUSR1 opens no debugger, in no process: any user of the machine could run code as the registry by it", async () => {
  const program = start();
  const url = await urlOf(program);
  const { worker } = await program.logged("worker serves");
  for (const process of [program.process.pid, worker]) kill(Number(process), "SIGUSR1");
  expect((await fetch(`${url}/livez`)).status).toBe(200);
  expect(await program.stop()).toBe(0);
  expect(program.err()).not.toMatch(/debugger|inspector/i);
});
