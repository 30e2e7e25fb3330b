import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLmdb } from "../../src/storage/lmdb.ts";
import { describeMetadataStore } from "./metadata-store.suite.ts";

describeMetadataStore("LMDB", async () => {
  const directory = await mkdtemp(join(tmpdir(), "amr-lmdb-"));
  return { open: () => openLmdb(directory), remove: () => rm(directory, { recursive: true, force: true }) };
});
