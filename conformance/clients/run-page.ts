import { mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Report } from "../client-report.ts";
import { CHECKOUT, type RunningRegistry, startRegistry } from "../registry-process.ts";
import { type Ran, run } from "../run-program.ts";
import { type Case, casesOf, scriptOf } from "./page.ts";
import type { TriedClient } from "./tried-clients.ts";

const LIMIT_MS = 240_000;
const LAST_WORDS = 6000;

/** Where a client's commands run, and what of it the page's variables name. */
interface Scene {
  readonly registry: RunningRegistry;
  readonly folder: string;
  /** Folders of programs, first the one that comes first. */
  readonly path: readonly string[];
}

/** Runs all commands of a client's page against a registry of their own, and reports every section of it as a case. */
export async function runPage(tried: TriedClient, parent: string, path: readonly string[], report: Report): Promise<void> {
  const cases = casesOf(await readFile(join(CHECKOUT, "docs", "clients", tried.page), "utf8"));
  const folder = await mkdtemp(join(parent, `${tried.page}-`));
  const registry = await startRegistry();
  try {
    const { begun, ran } = await runCases(cases, tried, { registry, folder, path });
    for (const [at, { title, expected }] of cases.entries()) {
      await report.row(tried.client, title, expected, async () => {
        if (at >= begun) throw new Error("what comes before it failed");
        if (at === begun - 1 && ran.code !== 0) throw new Error(`exit code ${ran.code}\n${(ran.err + ran.out).slice(-LAST_WORDS)}`);
        return expected;
      });
    }
  } finally {
    await registry.dispose();
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
async function environment({ registry, folder, path }: Scene): Promise<Readonly<Record<string, string>>> {
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
    COSIGN_PASSWORD: "",
    REGISTRY: registry.host,
    KEYS: join(registry.dataDirectory, "credentials"),
    REGISTRY_URL: registry.url,
    SECURECTL_TOKEN: await registry.key("operator"),
  };
}
