import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatOf, modelFilename } from "../../src/oci/model-name.ts";
import type { Acquisition } from "../../src/registry/acquire.ts";
import type { Caller } from "../../src/registry/ports.ts";
import type { Registry } from "../../src/services.ts";
import { inspectingHere } from "./inspector.ts";
import { SERVICE_TOKEN } from "./principal.ts";

/** Whoever has the service token. */
export const TOKEN_HOLDER: Caller = { principal: SERVICE_TOKEN, actor: { principal: "service-token", kind: "service-token" } };

/** A file of the data directory that is to be registered, as the doors check it. */
export function acquisitionOf(name: string, filename: string, over: Partial<Acquisition> = {}): Acquisition {
  const [checked, format] = [modelFilename(filename), formatOf(filename)];
  if ("refused" in checked || format === undefined) throw new TypeError(`${filename} is not taken`);
  return { name, filename, path: checked.path, format, sha256: undefined, size: 0, source: "", ...over };
}

/** The same services with headers read in this process. */
export function quick(services: Registry): Registry {
  return inspectingHere(services);
}

/** Puts a file into a data directory. */
export async function putFile(directory: string, path: string, bytes: string | Uint8Array): Promise<void> {
  await writeFile(join(directory, path), bytes);
}
