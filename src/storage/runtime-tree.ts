import type { Digest } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";

/** One file of a trusted manifest: its checked relative path below the manifest's folder, and the blob that it is a link to. */
export interface RuntimeFile {
  readonly path: string;
  readonly blob: Digest;
}

/**
 * The tree that a runtime may mount: `trusted/<repository>/<algorithm>-<hex>/<path>`, hard links to published blobs.
 * Holds no policy: promotion links, revocation unlinks.
 */
export interface RuntimeTree {
  /** Makes the folder of a manifest hold exactly these files; atomic per manifest, durable when it resolves. */
  link(repository: RepositoryName, manifest: Digest, files: readonly RuntimeFile[]): Promise<void>;
  /** Removes the folder of a manifest; one that does not exist is fine. */
  unlink(repository: RepositoryName, manifest: Digest): Promise<void>;
  /** The folder of a manifest as a path on this machine, when it exists. */
  pathOf(repository: RepositoryName, manifest: Digest): Promise<string | undefined>;
}
