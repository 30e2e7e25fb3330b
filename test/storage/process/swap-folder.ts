import { renameSync, symlinkSync, unlinkSync } from "node:fs";
import { join } from "node:path";

/** Puts a symbolic link to another folder in the place of a folder and takes it away again, as fast as it can, until it is killed. */
const [root = "", outside = ""] = process.argv.slice(2);
const [folder, aside] = [join(root, "sub"), join(root, "aside")];
process.stdout.write("swapping\n");
for (;;) {
  renameSync(folder, aside);
  symlinkSync(outside, folder);
  unlinkSync(folder);
  renameSync(aside, folder);
}
