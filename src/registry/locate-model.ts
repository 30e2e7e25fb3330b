import { join } from "node:path";
import { RegistryError } from "../oci/errors.ts";
import { loadManifest } from "./closure.ts";
import { type FoundModel, viewOf } from "./find-model.ts";
import type { Services } from "./ports.ts";
import { runtimeFiles } from "./runtime-files.ts";
import { isPartOfTrusted, readerOf, serveManifest } from "./serving.ts";

/** Where a runtime finds the bytes of a trusted artifact on this machine. */
export interface Located {
  /** A file, or the folder where there are several. */
  readonly path: string;
  readonly sha256: string;
  readonly size_bytes: number;
  readonly storage_contract: "content-addressed-v1";
}

const NO_FILES = { files: [] } as const;

/** What any reader is served: nobody's right to untrusted content opens a path to it. */
const READER = readerOf(new Set(["pull"]));

/**
 * The path below `trusted/` of an artifact that readers are served as a part of a trusted one, in a constant number of look-ups (RULES 23).
 * Throws DENIED for all else, as the predecessor does in every other state, and CONFLICT when the bytes are out of service.
 */
export async function locateModel(services: Pick<Services, "metadata" | "tree">, found: FoundModel): Promise<Located> {
  const { name, repository, record } = found;
  const serving = await serveManifest(services, READER, repository, record);
  if (serving.effect !== "allow" || !(await isPartOfTrusted(services, repository, record.digest))) {
    const error = `artifact "${name}" is in "${record.state}" state — only trusted artifacts can be loaded`;
    throw new RegistryError("DENIED", error, { detail: { error } });
  }
  const [folder, manifest] = [await services.tree.pathOf(repository, record.digest), await loadManifest(services, repository, record)];
  const { files } = manifest === undefined ? NO_FILES : runtimeFiles(manifest);
  const [only, ...more] = files;
  if (manifest !== undefined && only === undefined) {
    throw new RegistryError("CONFLICT", "the artifact has no files of its own: ask for one of the manifests in it, by its digest");
  }
  if (folder === undefined) throw new RegistryError("CONFLICT", "content-addressed object failed digest verification");
  const { sha256, size_bytes } = await viewOf(services, found);
  const path = only !== undefined && more.length === 0 ? join(folder, only.path) : folder;
  return { path, sha256, size_bytes, storage_contract: "content-addressed-v1" };
}
