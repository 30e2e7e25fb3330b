import { rm } from "node:fs/promises";
import { join } from "node:path";
import { makeGoodAlone, makeGoodBeforeServing } from "../src/registry/make-good.ts";
import type { RuntimeTree } from "../src/storage/runtime-tree.ts";
import { type TestRegistry, startTestRegistry } from "../test/support/server.ts";
import type { AuditReader } from "./crash-audit.ts";
import { type Doubts, checkAll } from "./crash-check.ts";
import type { KillableServer } from "./crash-server.ts";
import type { RepositoryTruth } from "./crash-truth.ts";
import { mustRun } from "./run-program.ts";
import { Wire } from "./wire.ts";

/** What is known of a registry, and where its data are. */
export interface Known {
  readonly truths: readonly RepositoryTruth[];
  readonly audit: AuditReader;
  readonly folder: string;
}

/**
 * Stops the server for a while and holds the state that a kill would have left just then to what is known: a copy of its data, over which a
 * registry starts in this process, does not differ from it by anything acknowledged. The server goes on as if nothing had been.
 */
export async function checkStateNow(server: KillableServer, { truths, audit, folder }: Known): Promise<Doubts> {
  const copy = `${folder}-state`;
  const doubts = await server.whileStopped(async () => {
    // Whatever is acknowledged by now was before it was stopped; what clients ask for meanwhile is in doubt, and not done.
    const known = truths.map((truth) => truth.clone());
    await mustRun("cp", ["--archive", folder, copy]);
    // It holds the locks of processes that are no more when they are killed; the next one to open it makes it anew.
    await rm(join(copy, "metadata", "lock.mdb"));
    return startAndCheck(known, audit.clone(), copy);
  });
  await rm(copy, { recursive: true, force: true });
  return doubts;
}

async function startAndCheck(truths: readonly RepositoryTruth[], audit: AuditReader, directory: string): Promise<Doubts> {
  const registry = await startTestRegistry({ directory });
  const wire = new Wire(registry.url, { ...registry.credentials });
  try {
    await makeGood(registry);
    return await checkAll(truths, wire, audit, directory);
  } finally {
    wire.close();
    await registry.stop();
  }
}

/** What the program itself does at a start before it serves, when none of the processes that wrote the data is left. */
async function makeGood(registry: TestRegistry): Promise<void> {
  const services = { ...registry.services, tree: new AloneTree(registry.services.tree) };
  await makeGoodAlone(services, { credentials: services.paths.credentials, integrityResult: services.integrityResultPath });
  await makeGoodBeforeServing(services);
}

/** A tree whose other holders have ended: in truth they are stopped, and would keep what they hold. */
class AloneTree implements RuntimeTree {
  readonly #tree: RuntimeTree;
  readonly process: string;

  constructor(tree: RuntimeTree) {
    this.#tree = tree;
    this.process = tree.process;
  }

  async hasEnded(holder: string): Promise<boolean> {
    return holder !== this.process;
  }

  link(...args: Parameters<RuntimeTree["link"]>): ReturnType<RuntimeTree["link"]> {
    return this.#tree.link(...args);
  }

  unlink(...args: Parameters<RuntimeTree["unlink"]>): ReturnType<RuntimeTree["unlink"]> {
    return this.#tree.unlink(...args);
  }

  pathOf(...args: Parameters<RuntimeTree["pathOf"]>): ReturnType<RuntimeTree["pathOf"]> {
    return this.#tree.pathOf(...args);
  }
}
