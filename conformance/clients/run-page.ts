import { mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Report } from "../client-report.ts";
import { CHECKOUT, type RunningRegistry, freePort, startRegistry } from "../registry-process.ts";
import { type Ran, run } from "../run-program.ts";
import { type Case, casesOf, scriptOf } from "./page.ts";
import { type TlsFront, startTlsFront } from "./tls-front.ts";
import type { TriedClient } from "./tried-clients.ts";

const LIMIT_MS = 240_000;
const LAST_WORDS = 6000;

/** Where a client's commands run, and what of it the page's variables name. */
interface Scene {
  readonly registry: RunningRegistry;
  /** What does TLS for the registry, where the client asks for that. */
  readonly front?: TlsFront;
  readonly folder: string;
  /** Folders of programs, first the one that comes first. */
  readonly path: readonly string[];
}

/** Runs all commands of a client's page against a registry of their own, and reports every section of it as a case. */
export async function runPage(tried: TriedClient, parent: string, path: readonly string[], report: Report): Promise<void> {
  const cases = casesOf(await readFile(join(CHECKOUT, "docs", "clients", tried.page), "utf8"));
  const folder = await mkdtemp(join(parent, `${tried.page}-`));
  const { begun, ran } = await inScene(tried, { folder, path }, (scene) => runCases(cases, tried, scene));
  for (const [at, { title, expected }] of cases.entries()) {
    await report.row(tried.client, title, expected, async () => {
      if (at >= begun) throw new Error("what comes before it failed");
      if (at === begun - 1 && ran.code !== 0) throw new Error(`exit code ${ran.code}\n${ran.out.slice(-LAST_WORDS)}${ran.err}`);
      return expected;
    });
  }
}

/** Has something happen while a registry runs, behind TLS where the client asks for that. */
async function inScene<T>(tried: TriedClient, where: Omit<Scene, "registry">, happen: (scene: Scene) => Promise<T>): Promise<T> {
  const port = await freePort();
  const front = tried.tls === true ? await startTlsFront(where.folder, port) : undefined;
  try {
    const registry = await startRegistry({ BIND_ADDR: `127.0.0.1:${port}`, ...front?.settings });
    try {
      return await happen({ ...where, registry, ...(front === undefined ? {} : { front }) });
    } finally {
      await registry.dispose();
    }
  } finally {
    await front?.close();
  }
}

async function runCases(cases: readonly Case[], tried: TriedClient, scene: Scene): Promise<{ begun: number; ran: Ran }> {
  const progress = join(scene.folder, "progress");
  await writeFile(progress, "");
  const work = join(scene.folder, "work");
  await mkdir(work);
  const env = { ...(await environment(scene)), PROGRESS: progress };
  const during = tried.during ?? ((_folder, happen) => happen({}));
  const ran = await during(scene.folder, (more) =>
    run("bash", ["-c", scriptOf(cases)], { cwd: work, env: { ...env, ...more }, limitMs: LIMIT_MS }),
  );
  return { begun: (await readFile(progress, "utf8")).length, ran };
}

/** A home of its own, so that no client finds or leaves anything in that of whoever runs this. */
async function environment({ registry, front, folder, path }: Scene): Promise<Readonly<Record<string, string>>> {
  const [home, storage] = [join(folder, "home"), join(folder, "storage.conf")];
  await mkdir(home);
  const [kept, running] = [join(folder, "containers"), join(folder, "running")];
  await writeFile(storage, `[storage]\ndriver = "vfs"\ngraphroot = "${kept}"\nrunroot = "${running}"\n`);
  return {
    PATH: path.join(":"),
    HOME: home,
    TMPDIR: folder,
    DOCKER_CONFIG: join(home, ".docker"),
    REGISTRY_AUTH_FILE: join(home, "auth.json"),
    CONTAINERS_STORAGE_CONF: storage,
    RAMALAMA_STORE: join(home, "ramalama"),
    COSIGN_PASSWORD: "",
    ...(front === undefined ? {} : { SSL_CERT_FILE: front.certificate }),
    REGISTRY: front?.host ?? registry.host,
    KEYS: join(registry.dataDirectory, "credentials"),
    REGISTRY_URL: registry.url,
    SECURECTL_TOKEN: await registry.key("operator"),
  };
}
