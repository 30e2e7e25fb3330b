import { setImmediate } from "node:timers";
import { breakLmdb } from "./break-lmdb.ts";

// For `node --import`: the store of the process breaks as soon as it is open.
function tryAgain(): void {
  if (!breakLmdb("EIO")) setImmediate(tryAgain);
}
tryAgain();
