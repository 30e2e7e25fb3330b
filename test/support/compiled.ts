import { fileURLToPath } from "node:url";

/** Compiled code that the programs of all tests share, since most of what a start costs is to read the program. */
export const COMPILED = { NODE_COMPILE_CACHE: fileURLToPath(new URL("../../node_modules/.cache/compiled", import.meta.url)) };
