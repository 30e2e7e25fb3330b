import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const SELF = fileURLToPath(import.meta.url);
const CODE = dirname(dirname(SELF));

/** The program that reads files from others. It stands beside this file: as TypeScript in a checkout, compiled in the package. */
export const PROGRAM = fileURLToPath(new URL("./inspection-process.ts", import.meta.url)).replace(/\.ts$/, extname(SELF));

/** All that the program may read by name: its own code, and of packages, zod. */
export const READABLE: readonly string[] = [CODE, join(dirname(CODE), "package.json"), ...placesOf("zod")];

/** A package where Node finds it from here, and where it really is: they differ where node_modules has symbolic links. */
function placesOf(name: string): readonly string[] {
  const real = dirname(createRequire(SELF).resolve(`${name}/package.json`));
  const places = [real];
  for (let folder = CODE; ; folder = dirname(folder)) {
    const place = join(folder, "node_modules", name);
    if (place !== real && existsSync(place)) places.push(place);
    if (folder === dirname(folder)) return places;
  }
}
