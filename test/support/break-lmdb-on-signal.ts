import { breakLmdb } from "./break-lmdb.ts";

// For `node --import`: the store of a process breaks when SIGUSR2 tells it to.
process.on("SIGUSR2", () => breakLmdb("EIO"));
