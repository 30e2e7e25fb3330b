import { readdir } from "node:fs/promises";
import { dirname } from "node:path";
import { claim } from "../../../src/storage/claim.ts";

/** `claim-name.ts <folder> <file>`: says the name that a file has while this process claims it. */
const [, , folder = "", file = ""] = process.argv;
const held = await claim(folder, file);
process.stdout.write(`${(await readdir(dirname(held.path))).join(" ")}\n`);
held.release();
