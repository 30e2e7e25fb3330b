import type { State } from "../lifecycle/state.ts";
import { ERRORS, RegistryError } from "../oci/errors.ts";
import type { AcquireServices } from "./acquire.ts";
import { FirstModelsError, refuse } from "./first-models-file.ts";
import { type Registration, registerModel } from "./register-model.ts";
import type { DecidingFile } from "./registration-draft.ts";
import { discardLeftCopies } from "./take-in-file.ts";

/** An entry of a file: a record to be registered, or why it is not. */
export type Entry = { readonly position: number; readonly line?: number; readonly name: string } & (
  | { readonly registration: Registration }
  | { readonly fault: string }
);

/** A record without a history has been acquired, and is now in its state. */
export const STEPS: Readonly<Record<State, Registration["steps"]>> = {
  acquired: [],
  quarantined: [{ event: "quarantine", at: undefined }],
  trusted: [{ event: "promote", at: undefined }],
  revoked: [{ event: "revoke", at: undefined }],
  deleted: [{ event: "delete", at: undefined }],
};

/** How many entries came to what. */
export interface Counts {
  readonly registered: number;
  /** Of these, those that are less than their records say. */
  readonly withheld: number;
  /** Registered by a start that was cut off. */
  readonly known: number;
  readonly refused: number;
}

/**
 * Registers the entries of a file one after the other, each by itself: what one start leaves undone the next does. What is wrong with an
 * entry refuses that one; what is wrong with the registry, such as a full disk, is thrown as `FirstModelsError`. Ends with the reason of
 * the signal.
 */
export async function registerEntries(
  services: AcquireServices,
  file: DecidingFile,
  entries: readonly Entry[],
  signal: AbortSignal,
): Promise<Counts> {
  await discardLeftCopies(services);
  const counts = { registered: 0, withheld: 0, known: 0, refused: 0 };
  for (const entry of entries) {
    signal.throwIfAborted();
    counts[await registerEntry(services, file, { entry, of: entries.length }, signal)] += 1;
  }
  return { ...counts, registered: counts.registered + counts.withheld };
}

async function registerEntry(
  services: AcquireServices,
  file: DecidingFile,
  { entry, of }: { readonly entry: Entry; readonly of: number },
  signal: AbortSignal,
): Promise<keyof Counts> {
  const { position, name, line } = entry;
  const told = { entry: position, name, ...(line !== undefined && { line }) };
  if ("fault" in entry) {
    await refuse(services, file, { ...told, reason: entry.fault });
    return "refused";
  }
  services.log.info({ file: file.kind, ...told, of }, "registering a model");
  try {
    const registered = await registerModel(services, entry.registration);
    if (registered.outcome === "known") return "known";
    const { state, withheld } = registered;
    services.log.info({ file: file.kind, ...told, state }, "a model is registered");
    if (withheld === undefined) return "registered";
    await refuse(services, file, { ...told, reason: `it is held back as ${state}: ${withheld}` });
    return "withheld";
  } catch (error) {
    if (error === signal.reason) throw error;
    if (!isRefusal(error)) throw cannot(services, file, { ...told, error });
    await refuse(services, file, { ...told, reason: error.message });
    return "refused";
  }
}

/** Is it the entry's fault, which the next start would find again? */
function isRefusal(error: unknown): error is RegistryError {
  return error instanceof RegistryError && ERRORS[error.code].status < 500;
}

/** For the operator in words, and for whoever has to find the cause in the log. */
function cannot(
  { log }: AcquireServices,
  { kind }: DecidingFile,
  { error, ...told }: { readonly error: unknown; readonly entry: number },
): FirstModelsError {
  log.error({ file: kind, ...told, err: error }, "a model cannot be registered now");
  const reason = error instanceof Error ? error.message : "unknown";
  return new FirstModelsError(`${kind}: entry ${told.entry} cannot be registered now (${reason})`, { cause: error });
}
