import { parentPort } from "node:worker_threads";

/** Stands in the place of the thread that hashes: answers the first order as if there were more, and ends at the second. */
let orders = 0;
parentPort?.on("message", ({ file, length }: { readonly file: number; readonly length: number }) => {
  orders += 1;
  if (orders > 1) process.exit(1);
  parentPort?.postMessage({ file, read: length }, []);
});
