import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Hono } from "hono";
import { type Config, isLocal, loadConfig } from "../../src/config.ts";
import { type DoorServices, type Serving, createRegistryApp } from "../../src/http/doors.ts";
import type { Env } from "../../src/http/route.ts";
import { type Bounds, DEFAULT_BOUNDS, createHttpServer } from "../../src/http/server.ts";
import { createLogger } from "../../src/log.ts";
import { firstStart } from "../../src/registry/first-start.ts";
import { type Registry, openRegistry } from "../../src/services.ts";
import { openDataDirectory } from "../../src/storage/data-directory.ts";
import { KeptLines, refuseSecrets } from "./log-secrets.ts";

/** The credentials of a first start. */
interface Credentials {
  readonly operator: string;
  readonly publisher: string;
  readonly runtime: string;
  readonly serviceToken: string;
}

/** A whole registry in this process, on a real socket, over real stores in a folder of its own. */
export interface TestRegistry {
  readonly url: string;
  /** host:port, as clients write it before a repository. */
  readonly host: string;
  readonly directory: string;
  readonly credentials: Credentials;
  readonly services: Registry;
  /** A request by a first-start identity, a service token on `/v1`, an API key (`amr_…`), or nobody. */
  fetchAs(who: keyof Credentials | "nobody" | `amr_${string}`, path: string, init?: RequestInit): Promise<Response>;
  /** Ends it; the folder goes unless it was given. */
  stop(): Promise<void>;
}

export interface TestRegistryOptions extends Partial<Pick<Serving, "pace" | "limiter" | "draining">> {
  /** Settings, as in the environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** A data directory that outlives the registry. */
  readonly directory?: string;
  readonly bounds?: Partial<Bounds>;
  /** Stands between the doors and the services, to inject faults or another clock. */
  readonly around?: (services: DoorServices) => DoorServices;
}

export async function startTestRegistry(options: TestRegistryOptions = {}): Promise<TestRegistry> {
  const root = options.directory ?? (await mkdtemp(join(tmpdir(), "amr-registry-")));
  const config = loadConfig({ BIND_ADDR: "127.0.0.1:0", LOG_LEVEL: "silent", REGISTRY_DIR: root, ...options.env });
  // The port has to be known before the application is made: the realm of a challenge names it.
  const late: { fetch: Hono<Env>["fetch"] } = { fetch: () => Promise.reject(new Error("not started yet")) };
  const server = createHttpServer(
    { fetch: (...args) => late.fetch(...args) },
    { bounds: { ...DEFAULT_BOUNDS, ...options.bounds }, newId: () => "" },
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const directory = await openDataDirectory(root);
  // All that there can be in a log, and none of it may be a secret.
  const log = new KeptLines();
  const services = await openRegistry(config, port, createLogger("trace", log));
  await firstStart(services, directory.paths.credentials, services.serviceTokenPlace);
  const app = createRegistryApp(options.around?.(services) ?? services, await servingOf(config, services, options));
  late.fetch = app.fetch;
  const credentials = await readCredentials(directory.paths.credentials);
  const host = `127.0.0.1:${port}`;
  return {
    url: `http://${host}`,
    host,
    directory: root,
    credentials,
    services,
    fetchAs: (who, path, init = {}) => {
      const headers = new Headers(init.headers);
      const authorization = authorizationOf(credentials, who);
      if (authorization !== undefined) headers.set("authorization", authorization);
      return fetch(`http://${host}${path}`, { redirect: "manual", ...init, headers });
    },
    stop: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
      await services.close();
      await directory.release();
      if (options.directory === undefined) await rm(root, { recursive: true, force: true });
      refuseSecrets(log.lines, Object.values(credentials));
    },
  };
}

async function servingOf(config: Config, services: Registry, { pace, limiter, draining }: TestRegistryOptions): Promise<Serving> {
  const token = await services.serviceToken();
  return {
    serviceToken: token?.secret,
    draining: draining ?? (() => false),
    insecureDevMode: config.insecureDevMode,
    isLocal: isLocal(config),
    ...(pace !== undefined && { pace }),
    ...(limiter !== undefined && { limiter }),
  };
}

async function readCredentials(folder: string): Promise<Credentials> {
  const read = async (file: string): Promise<string> => (await readFile(join(folder, file), "utf8")).trim();
  const [operator, publisher, runtime] = await Promise.all(["operator", "publisher", "runtime"].map(read));
  return {
    operator: operator ?? "",
    publisher: publisher ?? "",
    runtime: runtime ?? "",
    serviceToken: await read("service-token").catch(() => ""),
  };
}

function authorizationOf(credentials: Credentials, who: string): string | undefined {
  if (who === "nobody") return undefined;
  if (who === "serviceToken") return `Bearer ${credentials.serviceToken}`;
  if (who === "operator" || who === "publisher" || who === "runtime") {
    return `Basic ${Buffer.from(`${who}:${credentials[who]}`).toString("base64")}`;
  }
  return `Bearer ${who}`;
}
