import type { Digest } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";

/** One file of a trusted manifest: its checked relative path below the manifest's folder, and the blob whose bytes it has. */
export interface RuntimeFile {
  readonly path: string;
  readonly blob: Digest;
}

/**
 * The tree that a runtime may mount: `trusted/<repository>/<algorithm>-<hex>/<path>`, hard links to published blobs, and copies of those that are no files.
 * Holds no policy: promotion links, revocation unlinks.
 */
export interface RuntimeTree {
  /**
   * Makes the folder of a manifest hold exactly these files; atomic per manifest, durable when it resolves. `still` is asked when all is
   * ready to be shown. False when nothing was made, since the answer was no or another change of the folder came in between.
   */
  link(repository: RepositoryName, manifest: Digest, files: readonly RuntimeFile[], still: () => Promise<boolean>): Promise<boolean>;
  /**
   * Removes the folder of a manifest; one that does not exist is fine. What any process is linking there is called off, however slow it
   * is: once this resolves, only a `link` brings the folder back whose `still` was asked after this began.
   */
  unlink(repository: RepositoryName, manifest: Digest): Promise<void>;
  /** The folder of a manifest as a path on this machine, when it exists. */
  pathOf(repository: RepositoryName, manifest: Digest): Promise<string | undefined>;
  /** Names this process, for what it records as its own to finish. */
  readonly process: string;
  /** Has the process of this name ended? Another one that got its number is not it. */
  hasEnded(process: string): Promise<boolean>;
}
