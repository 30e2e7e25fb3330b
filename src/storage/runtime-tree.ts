import type { Digest } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import type { BlobStream } from "./blob-store.ts";

/** One file of a trusted manifest: its checked relative path below the manifest's folder, and the blob whose bytes it has. */
export interface RuntimeFile {
  readonly path: string;
  readonly blob: Digest;
}

/**
 * How a file of the tree is there: as the very file of its blob, as a file of its own, whose bytes may be any of that size, or `wrong`, which is
 * whatever else stands in its place, such as a symbolic link, or nothing.
 */
export type RuntimeFileState = "linked" | "wrong" | { readonly open: () => Promise<BlobStream> };

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
  /** How a file is there in the folder of a manifest, which has so many bytes; follows no symbolic link in there, and reads nothing. */
  look(repository: RepositoryName, manifest: Digest, file: RuntimeFile, size: number): Promise<RuntimeFileState>;
  /** Names this process, for what it records as its own to finish. */
  readonly process: string;
  /** Has the process of this name ended? Another one that got its number is not it. */
  hasEnded(process: string): Promise<boolean>;
}
