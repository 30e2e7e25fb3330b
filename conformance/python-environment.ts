import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { CHECKOUT } from "./registry-process.ts";
import { toolCache } from "./tool-cache.ts";

const INSTALL_LIMIT_MS = 300_000;

/**
 * The folder of the programs of a Python environment that holds exactly what a file of requirements in this folder names by exact version,
 * made the first time. Needs Python 3.10 or later with its module venv; throws with pip's own words when that fails.
 */
export async function pythonEnvironment(requirements: string): Promise<string> {
  const install = promisify(execFile);
  const file = join(CHECKOUT, "conformance", requirements);
  // Packages are bound to the Python that they were installed with.
  const { stdout: version } = await install("python3", ["--version"]);
  const digest = createHash("sha256")
    .update(version)
    .update(await readFile(file))
    .digest("hex");
  const environment = join(toolCache("python"), `${basename(requirements, ".txt")}-${digest.slice(0, 12)}`);
  const programs = join(environment, "bin");
  // Programs of such an environment know its path, so that it cannot be made aside: the last file says that it is whole.
  const whole = join(environment, "whole");
  if (existsSync(whole)) return programs;
  process.stdout.write(`installing conformance/${requirements}\n`);
  await rm(environment, { recursive: true, force: true });
  await install("python3", ["-m", "venv", environment], { timeout: INSTALL_LIMIT_MS });
  const asked = ["install", "--quiet", "--disable-pip-version-check", "--requirement", file];
  await install(join(programs, "pip"), asked, { timeout: INSTALL_LIMIT_MS });
  await writeFile(whole, "");
  return programs;
}
