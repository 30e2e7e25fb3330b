import { loadConfig } from "../../../src/config.ts";
import { createLogger } from "../../../src/log.ts";
import { digestOf, encodedOf } from "../../../src/oci/digest.ts";
import { NO_SCAN_EVIDENCE } from "../../../src/policy/scan-evidence.ts";
import { acquire } from "../../../src/registry/acquire.ts";
import { deleteArtifact } from "../../../src/registry/delete-artifact.ts";
import { findModel } from "../../../src/registry/find-model.ts";
import { promoteModel } from "../../../src/registry/promote-model.ts";
import { type Registry, openRegistry } from "../../../src/services.ts";
import type { BlobStore } from "../../../src/storage/blob-store.ts";
import { openDataDirectory } from "../../../src/storage/data-directory.ts";
import type { IncomingFiles } from "../../../src/storage/incoming-files.ts";
import type { MetadataStore } from "../../../src/storage/metadata-store.ts";
import { TOKEN_HOLDER, acquisitionOf } from "../../support/acquisitions.ts";
import { blobsWith } from "../../support/blob-registry.ts";

/**
 * Takes the file `m.gguf` of a data directory in as a registry does, or deletes what was made of it, and stops at a point of that for good,
 * which it tells.
 */
const [directory = "", act = "", point = ""] = process.argv.slice(2);

function stop(): Promise<never> {
  process.stdout.write(`${point}\n`);
  // A promise alone does not keep a process.
  setInterval(() => undefined, 1000);
  return new Promise(() => undefined);
}

function stoppingBlobs(blobs: BlobStore): BlobStore {
  return blobsWith(blobs, {
    append: (upload, bytes, offset) => blobs.append(upload, point === "copying" ? stoppingAfterFirst(bytes) : bytes, offset),
    publish: async (...args) => {
      await blobs.publish(...args);
      if (point === "published") await stop();
    },
  });
}

async function* stoppingAfterFirst(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of bytes) {
    yield piece;
    await stop();
  }
}

function stoppingFiles(files: IncomingFiles): IncomingFiles {
  return {
    open: (path) => files.open(path),
    removeIfSame: async (path, identity) => {
      await files.removeIfSame(path, identity);
      if (point === "removed") await stop();
    },
  };
}

function stoppingMetadata(metadata: MetadataStore): MetadataStore {
  return {
    get: (key) => metadata.get(key),
    list: (range) => metadata.list(range),
    commit: async (change) => {
      if (point === "decided") await stop();
      const outcome = await metadata.commit(change);
      if (point === "committed") await stop();
      return outcome;
    },
    close: () => metadata.close(),
  };
}

await openDataDirectory(directory);
const opened = await openRegistry(loadConfig({ REGISTRY_DIR: directory }), 8470, createLogger("silent"));
const services: Registry = {
  ...opened,
  blobs: stoppingBlobs(opened.blobs),
  files: stoppingFiles(opened.files),
  metadata: stoppingMetadata(opened.metadata),
};
const acquisition = acquisitionOf("m", "m.gguf", { sha256: encodedOf(digestOf(Buffer.alloc(3 * 1024 * 1024, "m"))) });
const said = { scan: NO_SCAN_EVIDENCE, fingerprint: {}, tensorManifest: { path: "", digest: null } };
switch (act) {
  case "acquire":
    await acquire(services, TOKEN_HOLDER, acquisition);
    break;
  case "promote":
    await promoteModel(services, TOKEN_HOLDER, { acquisition, ...said });
    break;
  case "delete":
    await acquire(opened, TOKEN_HOLDER, acquisition);
    await deleteArtifact(services, TOKEN_HOLDER, await findModel(services, TOKEN_HOLDER, "m", "only"), null);
}
