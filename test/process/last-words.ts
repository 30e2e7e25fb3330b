import { pbkdf2 } from "node:crypto";
import { createLogger } from "../../src/log.ts";

/** Logs a fatal line with a secret while all threads that could write it later are busy, and ends by a signal that nothing can answer. */
for (let n = 0; n < 64; n += 1) pbkdf2("busy", "busy", 10_000_000, 64, "sha512", () => undefined);
createLogger("info").fatal({ err: new Error("Bearer abc.def") }, "last words");
process.kill(process.pid, "SIGKILL");
