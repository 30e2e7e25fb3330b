import { existsSync } from "node:fs";
import { lstat, readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { mustRun } from "./run-program.ts";

const HOME = "opt/ai-model-registry";
const MEGABYTE = 1_000_000;
/** What it may weigh at most, so that it does not grow unnoticed: Node is four fifths of it. */
const MOST_BYTES = 220 * MEGABYTE;
const GROUP_OR_OTHERS_WRITE = 0o022;
const SET_ID = 0o6000;

const lockSchema = z.looseObject({ packages: z.record(z.string(), z.looseObject({ dev: z.boolean().optional() })) });
const sbomSchema = z.looseObject({
  bomFormat: z.literal("CycloneDX"),
  components: z.array(z.looseObject({ name: z.string(), version: z.string() })),
});
const packageSchema = z.looseObject({ name: z.string(), version: z.string() });

function must(held: boolean, complaint: string): void {
  if (!held) throw new Error(complaint);
}

async function packagesIn(root: string): Promise<readonly string[]> {
  const modules = join(root, HOME, "node_modules");
  const names = await readdir(modules);
  const inner = await Promise.all(
    names.map(async (name) => (name.startsWith("@") ? (await readdir(join(modules, name))).map((part) => `${name}/${part}`) : [name])),
  );
  return inner.flat();
}

/** Production dependencies only, and a bill of materials that names each of them and Node. */
async function examinePackages(root: string): Promise<string> {
  const names = await packagesIn(root);
  const { packages } = lockSchema.parse(JSON.parse(await readFile("package-lock.json", "utf8")));
  const development = names.filter((name) => packages[`node_modules/${name}`]?.dev !== undefined);
  must(development.length === 0, `development dependencies are in the image: ${development.join(", ")}`);
  const { components } = sbomSchema.parse(JSON.parse(await readFile(join(root, HOME, "sbom.cdx.json"), "utf8")));
  const installed = await Promise.all(
    names.map(async (name) =>
      packageSchema.parse(JSON.parse(await readFile(join(root, HOME, "node_modules", name, "package.json"), "utf8"))),
    ),
  );
  const wanted = [...installed, { name: "node", version: process.versions.node }]
    .map(({ name, version }) => `${name}@${version}`)
    .toSorted();
  const named = components.map(({ name, version }) => `${name}@${version}`).toSorted();
  must(wanted.join() === named.join(), `the bill of materials names\n${named.join()}\nand there are\n${wanted.join()}`);
  return `${names.length} packages, all of them in its bill of materials`;
}

/** Nothing that anybody but root may change, nothing that gives rights away, nothing to call but the registry. */
async function examineFiles(root: string): Promise<void> {
  const found = await readdir(root, { recursive: true });
  for (const path of found) {
    const stats = await lstat(join(root, path));
    if (stats.isSymbolicLink()) continue;
    must((stats.mode & SET_ID) === 0, `/${path} sets the user or group of who calls it`);
    const isData = path === "registry" || path === "backup";
    must(isData || (stats.uid === 0 && (stats.mode & GROUP_OR_OTHERS_WRITE) === 0), `/${path} can be written by others than root`);
  }
  for (const path of ["bin/sh", "usr/bin/env", "usr/local/bin/npm"]) must(!existsSync(join(root, path)), `/${path} is in the image`);
}

/** Looks at what is in the image, and prints its size. */
export async function examineImage(image: string): Promise<void> {
  const size = Number((await mustRun("podman", ["image", "inspect", "--format", "{{.Size}}", image])).trim());
  must(size <= MOST_BYTES, `the image has ${size} bytes, more than ${MOST_BYTES}`);
  const root = (await mustRun("podman", ["image", "mount", image])).trim();
  try {
    await examineFiles(root);
    process.stdout.write(`ok     ${await examinePackages(root)}; ${Math.round(size / MEGABYTE)} MB\n`);
  } finally {
    await mustRun("podman", ["image", "unmount", image]);
  }
}
