import { readFileSync } from "node:fs";

/** Why the metadata cannot be mapped, for the operator. */
export class AddressSpaceError extends Error {
  override readonly name = "AddressSpaceError";
}

/** With a limit of so much (bytes) the metadata may grow to a few hundred gibibytes, which are reserved twice over while they do. */
const ENOUGH = 1024 ** 4;

/**
 * Throws when this process may not have the addresses that LMDB reserves for the metadata. LMDB itself would crash: at once, or as soon as
 * the metadata outgrow what was reserved. Where `/proc` does not tell, nobody limits it.
 */
export function demandAddressSpace(): void {
  const limit = limitIn(readLimits());
  if (limit >= ENOUGH) return;
  throw new AddressSpaceError(
    "the limit of address space (ulimit -v, RLIMIT_AS, LimitAS=) must be unlimited, since the metadata are mapped into memory; limit memory by a control group instead",
  );
}

/** The soft limit (bytes) that proc_pid_limits(5) tells. */
export function limitIn(text: string): number {
  const [, limit = "unlimited"] = /^Max address space\s+(\S+)/m.exec(text) ?? [];
  return limit === "unlimited" ? Infinity : Number(limit);
}

function readLimits(): string {
  try {
    return readFileSync("/proc/self/limits", "utf8");
  } catch {
    return "";
  }
}
