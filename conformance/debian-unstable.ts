import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { toolCache } from "./tool-cache.ts";

const LIMIT_MS = 180_000;
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

const execute = promisify(execFile);

/**
 * The path of a program of the same name as its package in Debian's unstable release, taken out of the package and not installed; it must
 * need nothing but the C library. Fetched the first time, from the mirror that apt is set up with. Needs apt; throws with its words.
 */
export async function installDebianProgram(name: string): Promise<string> {
  const folder = join(toolCache("debian"), name);
  const program = join(folder, "usr", "bin", name);
  if (existsSync(program)) return program;
  await mkdir(toolCache("debian"), { recursive: true });
  // Fetched aside and renamed, so that nothing half unpacked looks like a program.
  const aside = await mkdtemp(join(toolCache("debian"), "fetch-"));
  try {
    process.stdout.write(`fetching the package ${name} of Debian unstable\n`);
    const unpacked = join(aside, "unpacked");
    await execute("dpkg-deb", ["--extract", await fetchPackage(name, aside), unpacked], { timeout: LIMIT_MS });
    await rm(folder, { recursive: true, force: true });
    await rename(unpacked, folder);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  if (!existsSync(program)) throw new Error(`the package ${name} of Debian unstable has no program /usr/bin/${name}`);
  return program;
}

/** Has apt fetch the package with lists of its own, so that the machine's stay as they are; apt checks Debian's signatures and hashes. */
async function fetchPackage(name: string, aside: string): Promise<string> {
  const [lists, cache, sources] = [join(aside, "lists"), join(aside, "cache"), join(aside, "sources.d")];
  for (const folder of [join(lists, "partial"), join(cache, "archives", "partial"), sources]) await mkdir(folder, { recursive: true });
  const source = { Types: "deb", URIs: await debianMirror(), Suites: "unstable", Components: "main", "Signed-By": KEYRING };
  const lines = Object.entries(source).map(([field, value]) => `${field}: ${value}\n`);
  await writeFile(join(sources, "unstable.sources"), lines.join(""));
  const settings = {
    "Dir::State::lists": lists,
    "Dir::State::status": "/dev/null",
    "Dir::Cache": cache,
    "Dir::Etc::SourceList": "/dev/null",
    "Dir::Etc::SourceParts": sources,
    "APT::Sandbox::User": "root",
    "Acquire::Languages": "none",
    "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
  };
  const options = Object.entries(settings).flatMap(([key, value]) => ["--option", `${key}=${value}`]);
  for (const command of [["update"], ["download", name]]) {
    await execute("apt-get", ["--quiet", ...options, ...command], { cwd: aside, timeout: LIMIT_MS });
  }
  const file = (await readdir(aside)).find((entry) => entry.endsWith(".deb"));
  if (file === undefined) throw new Error(`Debian unstable has no package ${name}`);
  return join(aside, file);
}

/** Where this machine's apt fetches Debian's main archive. Throws when it is set up with no such mirror. */
export async function debianMirror(): Promise<string> {
  const { stdout } = await execute("apt-get", ["indextargets", "--format", "$(SITE)", "Created-By: Packages"], { timeout: LIMIT_MS });
  const site = stdout.split("\n").find((line) => /\/debian\/?$/.test(line));
  if (site === undefined) throw new Error("apt on this machine is not set up with a mirror of Debian");
  return site;
}
