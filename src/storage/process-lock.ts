import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, rm, symlink } from "node:fs/promises";
import { type Server, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Another process holds the directory. */
export class InUseError extends Error {
  override readonly name = "InUseError";
}

export interface ProcessLock {
  release(): Promise<void>;
}

/** `sun_path` has 104 bytes on some systems, with the zero at its end. */
const MAX_SOCKET_PATH = 100;
const NAME = /^in-use\.[0-9a-f]{16}$/;
/** How often, and how long in between (ms), one start waits for the outcome of another that began at the same time. */
const TRIES = 100;
const WAIT = 50;
/** How long (ms) a process that accepts connections may take to say its state; silence counts as holding. */
const PATIENCE = 2000;

type State = "starting" | "holding";

/**
 * Holds a directory for this process alone, until `release` or the end of the process, however it ends. Throws `InUseError` when
 * another holds it.
 *
 * Each contender listens on a Unix socket of its own in the directory, and only then asks all others: a socket that refuses belongs to
 * a dead process and is removed. Names are random and never used twice, so nobody can remove a living one by mistake; and as everybody
 * shows itself before it looks, two that start at once cannot overlook each other. Sockets are found by path, so that this holds across
 * containers, unlike process ids.
 */
export async function lockDirectory(directory: string): Promise<ProcessLock> {
  const name = `in-use.${randomBytes(8).toString("hex")}`;
  const short = await shortPath(directory);
  let state: State = "starting";
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.end(state, () => socket.destroy());
  });
  const release = async (): Promise<void> => {
    await close(server);
    await rm(join(directory, name), { force: true });
    await short.forget();
  };
  try {
    await listen(server, join(short.path, name));
    await outlastOthers(directory, short.path, name);
    state = "holding";
  } catch (error) {
    await release();
    throw error;
  }
  return { release };
}

/** A path of the directory that leaves room for a socket's name. */
async function shortPath(directory: string): Promise<{ readonly path: string; forget(): Promise<void> }> {
  if (Buffer.byteLength(directory) + 24 <= MAX_SOCKET_PATH) return { path: directory, forget: async () => {} };
  const folder = await mkdtemp(join(tmpdir(), "amr-"));
  await symlink(directory, join(folder, "d"));
  return { path: join(folder, "d"), forget: () => rm(folder, { recursive: true, force: true }) };
}

async function outlastOthers(directory: string, path: string, name: string): Promise<void> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    if (!(await mustWait(directory, path, name))) return;
    await sleep(WAIT);
  }
  throw new InUseError("another process does not finish its start");
}

/** Is somebody still starting who gives way to us? Throws when somebody holds the directory, or is starting and comes before us. */
async function mustWait(directory: string, path: string, name: string): Promise<boolean> {
  let wait = false;
  const others = (await readdir(directory)).filter((file) => NAME.test(file) && file !== name);
  for (const other of others) {
    const state = await stateOf(join(path, other));
    if (state === "holding" || (state === "starting" && other < name)) throw new InUseError("another process holds the directory");
    if (state === undefined) await rm(join(directory, other), { force: true });
    else wait = true;
  }
  return wait;
}

/** What the process behind a socket says of itself; `leaving` when it breaks off, undefined when there is none any more. */
async function stateOf(path: string): Promise<State | "leaving" | undefined> {
  return new Promise((resolve) => {
    let said = "";
    const socket = connect(path);
    const answer = (state: State | "leaving" | undefined): void => {
      socket.destroy();
      resolve(state);
    };
    socket.setTimeout(PATIENCE, () => answer("holding"));
    socket.on("data", (bytes) => (said += bytes.toString("latin1")));
    socket.on("end", () => answer(said === "starting" || said === "holding" ? said : "leaving"));
    socket.on("error", (error) => answer(stateAfter("code" in error ? error.code : undefined)));
  });
}

function stateAfter(code: unknown): "holding" | "leaving" | undefined {
  if (code === "ECONNREFUSED" || code === "ENOENT") return undefined;
  if (code === "ECONNRESET" || code === "EPIPE") return "leaving";
  // A missing permission or a full queue, for example, does not say that nobody is there.
  return "holding";
}

async function listen(server: Server, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
  // The lock alone is no reason to go on running.
  server.unref();
}

async function close(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
}
