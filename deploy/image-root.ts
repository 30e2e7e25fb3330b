/*
 * Assembles the root file system of the image in a folder: Node with the libraries that it loads, the compiled registry with its production
 * dependencies, and a bill of materials of exactly that. Run by the Node that the image is to have, in the built and pruned checkout;
 * standard input is what `npm sbom` makes of the lock file.
 */
import { chmodSync, chownSync, cpSync, mkdirSync, readFileSync, readdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { z } from "zod";

const HOME = "/opt/ai-model-registry";
const NODE = "/usr/local/bin/node";
/** Nobody else's: high enough for no account of the host. */
const USER = 65_532;

const packageSchema = z.looseObject({ name: z.string(), version: z.string() });
const componentSchema = z.looseObject({ "bom-ref": z.string(), name: z.string(), version: z.string(), purl: z.string() });
const sbomSchema = z.looseObject({
  metadata: z.looseObject({ component: componentSchema }),
  components: z.array(componentSchema),
  dependencies: z.array(z.looseObject({ ref: z.string(), dependsOn: z.array(z.string()).default([]) })),
});
const reportSchema = z.looseObject({ sharedObjects: z.array(z.string()) });

function write(path: string, content: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

function copy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(from, to, { recursive: true, verbatimSymlinks: true });
}

/** Folders of installed packages, scoped ones included. */
function packagesIn(modules: string): readonly string[] {
  const names = readdirSync(modules).filter((name) => !name.startsWith("."));
  return names.flatMap((name) => (name.startsWith("@") ? readdirSync(join(modules, name)).map((inner) => `${name}/${inner}`) : [name]));
}

/** What npm's platform packages bring is a Node for checkouts; the image has its own. */
const isPlatformNode = (name: string): boolean => /^node-(?:bin-)?(?:linux|darwin|win)-/.test(name);

function copyRegistry(root: string): readonly string[] {
  const kept = packagesIn("node_modules").filter((name) => !isPlatformNode(name));
  for (const name of kept) copy(join("node_modules", name), join(root, HOME, "node_modules", name));
  for (const name of ["dist", "package.json", "LICENSE"]) copy(name, join(root, HOME, name));
  for (const [name, program] of [
    ["ai-model-registry", "dist/main.js"],
    ["securectl", "dist/cli/main.js"],
  ] as const) {
    // There is no /usr/bin/env to look for node.
    const file = join(root, HOME, program);
    writeFileSync(file, readFileSync(file, "utf8").replace(/^#!.*/, `#!${NODE}`));
    chmodSync(file, 0o755);
    mkdirSync(join(root, dirname(NODE)), { recursive: true });
    symlinkSync(join(HOME, program), join(root, dirname(NODE), name));
  }
  return kept;
}

async function copyNode(root: string): Promise<void> {
  // For the libraries that its native part needs.
  await import("lmdb");
  copy(realpathSync(process.execPath), join(root, NODE));
  const { sharedObjects } = reportSchema.parse(process.report.getReport());
  // Neither the kernel's own nor what lies below node_modules.
  const libraries = sharedObjects.filter((path) => path.startsWith("/") && !path.endsWith(".node"));
  for (const path of libraries) copy(realpathSync(path), join(root, path));
}

/** The bill of what was copied: what the lock names and is not there does not count, and what changes from run to run is left out. */
function billOf(sbom: z.infer<typeof sbomSchema>, kept: readonly string[]): unknown {
  const manifest = packageSchema.parse(JSON.parse(readFileSync("package.json", "utf8")));
  const installed = new Set(
    kept.map((name) => {
      const { version } = packageSchema.parse(JSON.parse(readFileSync(join("node_modules", name, "package.json"), "utf8")));
      return `${name}@${version}`;
    }),
  );
  const components = sbom.components.filter(({ name, version }) => installed.has(`${name}@${version}`));
  const missing = [...installed].filter((id) => !components.some(({ name, version }) => id === `${name}@${version}`));
  if (missing.length > 0) throw new Error(`the lock file does not name what is installed: ${missing.join(", ")}`);
  const node = {
    "bom-ref": "node",
    type: "platform",
    name: "node",
    version: process.versions.node,
    purl: `pkg:generic/node@${process.versions.node}`,
  };
  const refs = new Set([...components.map((component) => component["bom-ref"]), sbom.metadata.component["bom-ref"]]);
  const { timestamp: _time, ...metadata } = sbom.metadata;
  const { serialNumber: _serial, ...rest } = sbom;
  return {
    ...rest,
    metadata: { ...metadata, component: { ...sbom.metadata.component, type: "application", name: manifest.name } },
    components: [...components, node],
    dependencies: sbom.dependencies
      .filter(({ ref }) => refs.has(ref))
      .map(({ ref, dependsOn, ...more }) => ({ ref, dependsOn: dependsOn.filter((other) => refs.has(other)), ...more })),
  };
}

const [root, data] = process.argv.slice(2);
if (root === undefined || data === undefined) throw new Error("usage: npm sbom … | node deploy/image-root.ts ROOT DATA");
const sbom = sbomSchema.parse(JSON.parse(await text(process.stdin)));
const kept = copyRegistry(root);
await copyNode(root);
write(join(root, HOME, "sbom.cdx.json"), `${JSON.stringify(billOf(sbom, kept), null, 2)}\n`);
write(join(root, "etc/passwd"), `registry:x:${USER}:${USER}::/registry:/sbin/nologin\n`);
write(join(root, "etc/group"), `registry:x:${USER}:\n`);
// Apart from the rest, since whoever copies says of a whole copy whose it is. A volume that docker makes belongs to whom its folder does.
for (const name of ["registry", "backup"]) {
  const folder = join(data, name);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chownSync(folder, USER, USER);
}
process.stdout.write(`${basename(root)}: ${kept.length} packages, node ${process.versions.node}\n`);
