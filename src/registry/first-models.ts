import { join } from "node:path";
import type { AcquireServices } from "./acquire.ts";
import { applyBootLock } from "./boot-lock.ts";
import { importManifest } from "./import-manifest.ts";
import { watchedFiles } from "./watched-files.ts";

/** What a store that holds nothing yet may begin with. */
export interface FirstModels {
  /** Of the lock file. */
  readonly lockPath: string;
  /** The data directory, in which the predecessor's manifest may lie. */
  readonly directory: string;
  /** See `ManifestImport`. */
  readonly believeStates: boolean;
  readonly signal: AbortSignal;
}

/**
 * Registers the first models, before anybody is served: those of the predecessor's manifest where there is one, else those of the lock file.
 * Throws `FirstModelsError` for what keeps the registry from starting, and the reason of the signal.
 */
export async function registerFirstModels(services: AcquireServices, first: FirstModels): Promise<void> {
  const { directory, signal, believeStates, lockPath } = first;
  const watched = { ...services, files: watchedFiles(services, signal) };
  const path = join(directory, "manifest.json");
  if (await importManifest(watched, { path, directory, believeStates, signal })) return;
  await applyBootLock(watched, { path: lockPath, directory, signal });
}
