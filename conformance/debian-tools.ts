import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { run } from "./run-program.ts";

const SEARCHED = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];

/** Makes sure that programs are there, by installing Debian's packages of those that are not; throws when that cannot be done. */
export async function needPrograms(packages: Readonly<Record<string, string>>): Promise<void> {
  const missing = Object.keys(packages).filter((program) => !isThere(program));
  if (missing.length === 0) return;
  const names = [...new Set(missing.map((program) => packages[program] ?? program))];
  process.stdout.write(`installing ${names.join(" ")}\n`);
  const options = { env: { DEBIAN_FRONTEND: "noninteractive" }, limitMs: 300_000 };
  const apt = ["-qq", "-o", "DPkg::Lock::Timeout=300"];
  await run("apt-get", [...apt, "update"], options);
  const { err } = await run("apt-get", [...apt, "install", "--yes", "--no-install-recommends", ...names], options);
  const still = missing.filter((program) => !isThere(program));
  if (still.length > 0) throw new Error(`needs ${still.join(", ")}: Debian's packages ${names.join(" ")} could not be installed\n${err}`);
}

function isThere(program: string): boolean {
  return SEARCHED.some((folder) => existsSync(join(folder, program)));
}
