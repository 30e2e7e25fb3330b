import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { revokeAndFollow } from "../../src/registry/revoke-everywhere.ts";
import { keys } from "../../src/storage/keys.ts";
import { callerWith } from "../support/callers.ts";
import { startChild } from "../support/child.ts";
import { repository } from "../support/principal.ts";
import { type Program, runProgram } from "../support/program.ts";
import { startTestRegistry } from "../support/server.ts";
import { Transitions, digestIn, imageOf } from "../support/transitions.ts";
import { type Worker, Workers } from "../support/workers.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const CHANGE_FOLDER = new URL("process/change-folder.ts", import.meta.url);
const publisher = callerWith(["publisher@models"], { name: "publisher" });
const operator = callerWith(["operator@*"], { name: "operator" });
const [HERE, THERE] = [repository("models/here"), repository("models/there")];
const MODEL = imageOf(["weights"]);
const REVOKED = imageOf(["weights"], { annotations: { to: "be revoked" } });
const PROMOTED = imageOf(["weights"], { annotations: { to: "be promoted" } });

let directory: string;
let program: Program | undefined;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "amr-restart-"));
});
afterEach(async () => {
  await program?.kill();
  program = undefined;
  await rm(directory, { recursive: true, force: true });
});

async function foldersAt(place: string): Promise<string[]> {
  return (await readdir(join(directory, "trusted", place)).catch((): string[] => [])).toSorted();
}

const folderOf = (manifest: object): string => digestIn(manifest).replace(":", "-");

/** A promotion and a revocation that a killed process had committed, and a revocation everywhere of whose folders none is gone. */
async function leaveUndone(at: Transitions): Promise<void> {
  for (const place of [HERE, THERE]) {
    for (const content of ["{}", "weights"]) await at.blob(publisher, place, content);
    for (const manifest of [MODEL, REVOKED, PROMOTED]) await at.manifest(publisher, place, manifest);
    await at.promote(operator, place, digestIn(MODEL));
  }
  await at.promote(operator, HERE, digestIn(REVOKED));
  for (const [event, manifest] of [
    ["revoke", REVOKED],
    ["promote", PROMOTED],
  ] as const) {
    const child = startChild(CHANGE_FOLDER, directory, HERE, digestIn(manifest), event);
    try {
      await child.said(1);
    } finally {
      await child.kill();
    }
  }
  const worker: Worker = new Workers().start(at.services, {
    beforeRemoved: async () => {
      worker.kill();
      throw new Error("killed");
    },
  });
  const revocation = { reason: "poisoned", permanent: false, everywhere: true };
  const artifact = await at.find(operator, HERE, digestIn(MODEL));
  await expect(revokeAndFollow(worker.services, operator, artifact, revocation)).rejects.toThrow("killed");
}

/** Jobs are not due for a while: what is made good then is not their doing. */
async function postponeJobs({ services }: Transitions): Promise<void> {
  const value = { v: 1, holder: null, until: 0, dueAt: services.clock() + 59_000 };
  const put = ["revoke-everywhere", "repair-runtime-tree"].map((job) => ({ key: keys.lease(job), value }));
  await services.metadata.commit({ expect: [], put, remove: [], audit: [] });
}

test("the next start makes good what crashed processes left undone in trusted/ before it serves anybody", async () => {
  const registry = await startTestRegistry({ directory });
  const at = Transitions.over(directory, registry.services);
  await leaveUndone(at);
  await postponeJobs(at);
  await registry.stop();
  expect([await foldersAt(HERE), await foldersAt(THERE)]).toEqual([[folderOf(MODEL), folderOf(REVOKED)].toSorted(), [folderOf(MODEL)]]);
  program = runProgram({ BIND_ADDR: "127.0.0.1:0", REGISTRY_DIR: directory, WORKERS: "2" });
  await program.logged("worker serves");
  expect([await foldersAt(HERE), await foldersAt(THERE)]).toEqual([[folderOf(PROMOTED)], []]);
  expect(await program.stop()).toBe(0);
});
