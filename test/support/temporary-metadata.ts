import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLmdb } from "../../src/storage/lmdb.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";

/** A metadata store of its own, gone when it is disposed of. */
export async function temporaryMetadata(): Promise<AsyncDisposable & { readonly metadata: MetadataStore }> {
  const directory = await mkdtemp(join(tmpdir(), "amr-metadata-"));
  const metadata = await openLmdb(directory);
  return {
    metadata,
    [Symbol.asyncDispose]: async () => {
      await metadata.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
