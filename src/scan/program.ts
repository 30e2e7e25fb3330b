import { existsSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const SELF = fileURLToPath(import.meta.url);
const CODE = dirname(dirname(SELF));

/** The program that reads files from others. It stands beside this file: as TypeScript in a checkout, compiled in the package. */
export const PROGRAM = fileURLToPath(new URL("./inspection-process.ts", import.meta.url)).replace(/\.ts$/, extname(SELF));

/** All that the program may open: its own code, and of packages, zod. */
const READABLE: readonly string[] = [CODE, join(dirname(CODE), "package.json"), placeOf("zod")];

/**
 * What Node is told to run the program in: so many MiB for JavaScript's values, and by its permission model no file but the code, no
 * network, no process, no thread, no native code. What is open already can be read; the model file comes so.
 */
export function sandboxFlags(heapMegabytes: number): readonly string[] {
  return [
    `--max-old-space-size=${heapMegabytes}`,
    ...inherited(),
    "--permission",
    ...READABLE.map((path) => `--allow-fs-read=${path}`),
    // To follow a symbolic link, Node would look at folders that the program may not open.
    "--preserve-symlinks",
  ];
}

/** Where memory may not be written and executed, a process that compiles dies, and no child is ever free of that. */
function inherited(): readonly string[] {
  return process.execArgv.includes("--jitless") ? ["--jitless"] : [];
}

/** Where Node finds a package from here. */
function placeOf(name: string): string {
  for (let folder = CODE; ; folder = dirname(folder)) {
    const place = join(folder, "node_modules", name);
    if (existsSync(place) || folder === dirname(folder)) return place;
  }
}
