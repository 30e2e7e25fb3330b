import { NO_ROWS } from "../../support/blob-rows.ts";
import { openLinkedTree } from "../../../src/storage/linked-tree.ts";

/** `process-name.ts <folder>`: says the name that the tree of a data directory has for this process, and stays. */
const { process: name } = await openLinkedTree(process.argv[2] ?? "", NO_ROWS);
process.stdout.write(`${name}\n`);
setInterval(() => {}, 1000);
