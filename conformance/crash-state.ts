import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Digest } from "../src/oci/digest.ts";
import { makeGoodAlone, makeGoodBeforeServing } from "../src/registry/make-good.ts";
import type { RuntimeTree } from "../src/storage/runtime-tree.ts";
import { type TestRegistry, startTestRegistry } from "../test/support/server.ts";
import { type Doubts, type Known, type Scope, check } from "./crash-check.ts";
import { DirectoryCopier } from "./crash-copy.ts";
import type { KillableServer } from "./crash-server.ts";
import type { RepositoryTruth } from "./crash-truth.ts";
import { FileDigests } from "./file-digests.ts";
import type { Chance } from "./seeded-chance.ts";
import { Wire } from "./wire.ts";

/** So many of a hundred artifacts that nothing was done to since the state before are looked at again. */
const AGAIN = 25;

/** Looks at states of one registry. */
export class StateTrial {
  readonly #copier: DirectoryCopier;
  readonly #folder: string;
  readonly #scope: Scope;

  /** Copies of the data directory are made in a folder, which this makes. */
  constructor(data: string, folder: string, chance: Chance) {
    this.#folder = folder;
    this.#copier = new DirectoryCopier(data, join(folder, "published"));
    const artifacts = ({ recent, present }: RepositoryTruth): ReadonlySet<Digest> =>
      new Set([...recent, ...present.filter(() => chance.inHundred(AGAIN))]);
    this.#scope = { artifacts, digests: new FileDigests() };
  }

  /**
   * Stops the server for a while and holds the state that a kill would have left just then to what is known: a copy of its data, over which a
   * registry starts in this process, does not differ from it by anything acknowledged. The server goes on as if nothing had been.
   */
  async check(server: KillableServer, { truths, audit }: Known): Promise<Doubts> {
    const copy = join(this.#folder, "state");
    const doubts = await server.whileStopped(async () => {
      // Whatever is acknowledged by now was before it was stopped; what clients ask for meanwhile is in doubt, and not done.
      const known = truths.map((truth) => truth.forState());
      this.#copier.copyTo(copy);
      try {
        const found = await this.#startAndCheck({ truths: known, audit, folder: copy });
        for (const [at, state] of known.entries()) truths[at]?.learn(state);
        return found;
      } catch (error) {
        // For who has to understand it: the copy is no longer what it was made as, and neither are soon the data.
        this.#copier.copyTo(join(this.#folder, "failed"));
        throw error;
      }
    });
    rmSync(copy, { recursive: true });
    return doubts;
  }

  end(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #startAndCheck(known: Known): Promise<Doubts> {
    const registry = await startTestRegistry({ directory: known.folder });
    const wire = new Wire(registry.url, { ...registry.credentials });
    try {
      await makeGood(registry);
      return await check(known, wire, this.#scope);
    } finally {
      wire.close();
      await registry.stop();
    }
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

  look(...args: Parameters<RuntimeTree["look"]>): ReturnType<RuntimeTree["look"]> {
    return this.#tree.look(...args);
  }
}
