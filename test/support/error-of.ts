import { RegistryError } from "../../src/oci/errors.ts";

/** What a call throws; undefined when it does not. For tests whose inputs may be fine or not. */
export function errorOf(call: () => unknown): unknown {
  try {
    call();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** By which code the registry refuses something; `done` when it does not. Any other error is thrown. */
export async function codeOf(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
    return "done";
  } catch (error) {
    if (error instanceof RegistryError) return error.code;
    throw error;
  }
}
