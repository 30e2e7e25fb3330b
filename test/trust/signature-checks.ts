import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { onTestFinished, vi } from "vitest";

/** Counts from now on, until the test ends, how often anybody in this process checks a signature, libraries included; answers the count so far. */
export function countSignatureChecks(): () => number {
  const spy = vi.spyOn(crypto, "verify");
  syncBuiltinESMExports();
  onTestFinished(() => {
    spy.mockRestore();
    syncBuiltinESMExports();
  });
  return () => spy.mock.calls.length;
}
