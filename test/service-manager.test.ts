import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type Server, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createLogger } from "../src/log.ts";
import { takePassedSockets } from "../src/passed-sockets.ts";
import { openServiceManager, takeNotification } from "../src/service-manager.ts";
import { type Program, runActivated, runProgram, urlOf } from "./support/program.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const PATIENT = { timeout: 30_000 };

let directory: string;
const programs: Program[] = [];
const servers: Server[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "amr-manager-"));
});
afterEach(async () => {
  await Promise.all(programs.splice(0).map((program) => program.kill()));
  for (const server of servers.splice(0)) server.close();
  await rm(directory, { recursive: true, force: true });
});

function followed(program: Program): Program {
  programs.push(program);
  return program;
}

function settings(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return { BIND_ADDR: "127.0.0.1:0", REGISTRY_DIR: join(directory, "data"), WORKERS: "1", ...more };
}

/** A listening socket as a service manager holds it, with its descriptor. */
async function listeningSocket(
  host = "127.0.0.1",
): Promise<{ readonly port: number; readonly descriptor: number; readonly server: Server }> {
  const server = createServer((socket) => socket.destroy()).listen(0, host);
  await once(server, "listening");
  servers.push(server);
  const address = server.address();
  const {
    _handle: { fd },
  } = server as unknown as { readonly _handle: { readonly fd: number } };
  return { port: typeof address === "object" && address !== null ? address.port : 0, descriptor: fd, server };
}

async function activated(more: Readonly<Record<string, string>> = {}): Promise<Program> {
  const { port, descriptor, server } = await listeningSocket();
  const program = followed(runActivated(settings({ BIND_ADDR: `127.0.0.1:${port}`, ...more }), [descriptor]));
  // What is left is the program's copy: as long as this process held one it would take connections, too.
  await program.logged("worker serves");
  server.close();
  return program;
}

describe("a socket that was passed", () => {
  test("is served by all workers, and a new one for a worker that crashed", async () => {
    const program = await activated({ WORKERS: "2" });
    const url = await urlOf(program);
    expect((await fetch(`${url}/health`)).status).toBe(200);
    const { worker } = await program.logged("worker serves", 2);
    process.kill(Number(worker), "SIGKILL");
    await program.logged("worker serves", 3);
    expect((await fetch(`${url}/health`)).status).toBe(200);
    expect(await program.stop()).toBe(0);
  });

  test("is lost with the last worker, so that the program ends and whoever holds the socket starts it again", async () => {
    const program = await activated();
    await urlOf(program);
    const { worker } = await program.logged("worker serves");
    process.kill(Number(worker), "SIGKILL");
    expect(await program.ended).toBe(1);
    expect(program.err()).toContain("no worker is left that serves the socket which was passed");
  });

  test.each([
    ["another port", async () => ({ BIND_ADDR: "127.0.0.1:1" }), /BIND_ADDR: must be the address of the socket that was passed/],
    ["no port", async () => ({ BIND_ADDR: "127.0.0.1:0" }), /BIND_ADDR: must be the address and port/],
    [
      "more of them",
      async () => ({ LISTEN_FDS: "2" }),
      /LISTEN_FDS: a socket for clients can be served, and one with FileDescriptorName=metrics; 2 were passed/,
    ],
  ])("is refused when the configuration says %s", async (_, more, words) => {
    const { port, descriptor } = await listeningSocket();
    const program = followed(runActivated(settings({ BIND_ADDR: `127.0.0.1:${port}`, ...(await more()) }), [descriptor]));
    expect(await program.ended).toBe(1);
    expect(program.err()).toMatch(words);
  });

  test.each([
    ["after", "http:metrics"],
    ["before", "metrics:http"],
  ])("comes with one for metrics %s it, told by its name", async (_, names) => {
    const [clients, metrics] = [await listeningSocket(), await listeningSocket()];
    const passed = names.startsWith("metrics") ? [metrics, clients] : [clients, metrics];
    const addresses = { BIND_ADDR: `127.0.0.1:${clients.port}`, REGISTRY_METRICS_ADDR: `127.0.0.1:${metrics.port}` };
    const program = followed(
      runActivated(
        settings({ ...addresses, LISTEN_FDNAMES: names }),
        passed.map(({ descriptor }) => descriptor),
      ),
    );
    await program.logged("worker serves");
    for (const { server } of passed) server.close();
    expect((await fetch(`${await urlOf(program)}/health`)).status).toBe(200);
    expect(await (await fetch(`http://127.0.0.1:${metrics.port}/metrics`)).text()).toContain("registry_workers 1");
    expect(await program.stop()).toBe(0);
  });

  test.each([
    ["nowhere", {}],
    ["elsewhere", { REGISTRY_METRICS_ADDR: "127.0.0.1:1" }],
  ])("for metrics is refused when the configuration has metrics %s", async (_, more) => {
    const [clients, metrics] = [await listeningSocket(), await listeningSocket()];
    const env = settings({ BIND_ADDR: `127.0.0.1:${clients.port}`, LISTEN_FDNAMES: "http:metrics", ...more });
    const program = followed(runActivated(env, [clients.descriptor, metrics.descriptor]));
    expect(await program.ended).toBe(1);
    expect(program.err()).toMatch(/REGISTRY_METRICS_ADDR: must be the address of the socket/);
  });

  test("is refused when it listens off loopback and the configuration says loopback", async () => {
    const { port, descriptor } = await listeningSocket("0.0.0.0");
    const program = followed(runActivated(settings({ BIND_ADDR: `127.0.0.1:${port}` }), [descriptor]));
    expect(await program.ended).toBe(1);
    expect(program.err()).toMatch(/which is 0\.0\.0\.0 port/);
  });

  test("that was meant for another process is none of ours", () => {
    const env = { LISTEN_FDS: "1", LISTEN_PID: "1", LISTEN_FDNAMES: "http", PATH: "/bin" };
    expect(takePassedSockets(env, 2)).toEqual({ http: undefined, metrics: undefined });
    expect(env).toEqual({ PATH: "/bin" });
  });
});

/** A systemd-notify that writes down what it is asked to say, and to whom. */
async function notifier(): Promise<{ readonly env: Record<string, string>; readonly said: () => Promise<string[]> }> {
  const [program, heard] = [join(directory, "systemd-notify"), join(directory, "heard")];
  await writeFile(program, `#!/bin/sh\nprintf '%s|' "$NOTIFY_SOCKET" "$@" >> ${heard}\necho >> ${heard}\n`);
  await chmod(program, 0o755);
  const lines = async (): Promise<string[]> => (await readFile(heard, "utf8").catch(() => "")).split("\n").slice(0, -1);
  return { env: { PATH: `${directory}:/usr/bin:/bin`, NOTIFY_SOCKET: "/run/notify" }, said: lines };
}

describe("a service manager", () => {
  test("is told when the registry serves and when it ends, and each time that it asks for a sign of life", async () => {
    const { env, said } = await notifier();
    const program = followed(runProgram(settings({ ...env, WATCHDOG_USEC: "200000" })));
    await vi.waitUntil(async () => (await said()).filter((line) => line === "/run/notify|WATCHDOG=1|").length >= 3, PATIENT);
    expect((await said())[0]).toMatch(/^\/run\/notify\|READY=1\|STATUS=serving on port \d+\|$/);
    expect(await program.stop()).toBe(0);
    expect(await said()).toContain("/run/notify|STOPPING=1|STATUS=requests under way end|");
  });

  test("hears a sign of life only when all is well", async () => {
    const { env, said } = await notifier();
    const manager = openServiceManager({ socket: "/run/notify", watchdog: 10, path: env["PATH"] ?? "" }, createLogger("silent"));
    const end = new AbortController();
    const states = [true, false, true, false, false];
    const isWell = (): boolean => {
      if (states.length === 1) end.abort();
      return states.shift() ?? false;
    };
    await manager.watch(isWell, end.signal);
    expect(await said()).toEqual(["/run/notify|WATCHDOG=1|", "/run/notify|WATCHDOG=1|"]);
  });

  test("hears signs of life again when a worker that hung was replaced", async () => {
    const { env, said } = await notifier();
    const program = followed(runProgram(settings({ ...env, WATCHDOG_USEC: "200000", REGISTRY_WORKER_TIMEOUT: "1s" })));
    const { worker } = await program.logged("worker serves");
    process.kill(Number(worker), "SIGSTOP");
    await program.logged("worker serves", 2);
    const signs = (await said()).length;
    await vi.waitUntil(async () => (await said()).length > signs, PATIENT);
    expect(await program.stop()).toBe(0);
  });

  test("that cannot be told stops nothing, and is logged", async () => {
    const program = followed(runProgram(settings({ PATH: directory, NOTIFY_SOCKET: "/run/notify" })));
    const url = await urlOf(program);
    await program.logged("the service manager could not be told");
    expect((await fetch(`${url}/health`)).status).toBe(200);
    expect(await program.stop()).toBe(0);
  });

  test("is none of the children's business", () => {
    const env = { NOTIFY_SOCKET: "/run/notify", WATCHDOG_USEC: "60000000", WATCHDOG_PID: "7", PATH: "/bin" };
    expect(takeNotification({ ...env }, 7)).toEqual({ socket: "/run/notify", watchdog: 60_000, path: "/bin" });
    expect(takeNotification({ ...env }, 8)).toEqual({ socket: "/run/notify", watchdog: undefined, path: "/bin" });
    takeNotification(env, 7);
    expect(env).toEqual({ PATH: "/bin" });
  });
});

describe("a worker that hangs", () => {
  test("is killed and replaced, and the others serve meanwhile", async () => {
    const program = followed(runProgram(settings({ WORKERS: "2", REGISTRY_WORKER_TIMEOUT: "1s" })));
    await urlOf(program);
    const { worker } = await program.logged("worker serves", 2);
    process.kill(Number(worker), "SIGSTOP");
    expect(await program.logged("worker does not answer; it is killed")).toMatchObject({ worker });
    await program.logged("worker serves", 3);
    expect(await program.stop()).toBe(0);
  });
});
