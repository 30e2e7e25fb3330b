import type { Registry } from "../../src/services.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";
import type { RuntimeTree } from "../../src/storage/runtime-tree.ts";

/** A runtime tree that does everything as another one does, but for some of it. */
export function treeWith(tree: RuntimeTree, changed: Partial<RuntimeTree>): RuntimeTree {
  return {
    link: (...args) => tree.link(...args),
    unlink: (...args) => tree.unlink(...args),
    pathOf: (...args) => tree.pathOf(...args),
    look: (...args) => tree.look(...args),
    process: tree.process,
    hasEnded: (process) => tree.hasEnded(process),
    ...changed,
  };
}

/** What happens to a worker while it changes a folder: before it makes one, after the last question before it shows it, around the removal of one. */
export interface Moments {
  readonly beforeMade?: () => Promise<unknown>;
  readonly beforeShown?: () => Promise<unknown>;
  readonly afterShown?: () => Promise<unknown>;
  readonly beforeRemoved?: () => Promise<unknown>;
  readonly afterRemoved?: () => Promise<unknown>;
}

/** Workers of one registry: they share its stores, and know of each other who has ended. */
export class Workers {
  readonly #ended = new Set<string>();
  #count = 0;

  /** A worker that something happens to at some moments, each time. */
  start(services: Registry, moments: Moments = {}): Worker {
    this.#count += 1;
    return new Worker(services, `worker ${this.#count}`, { ended: this.#ended, moments });
  }
}

/** One worker; once it was killed nothing that it still does has any effect. */
export class Worker {
  readonly services: Registry;
  readonly #name: string;
  readonly #ended: Set<string>;

  constructor(services: Registry, name: string, { ended, moments }: { readonly ended: Set<string>; readonly moments: Moments }) {
    this.#name = name;
    this.#ended = ended;
    this.services = { ...services, metadata: this.#metadata(services.metadata), tree: this.#tree(services.tree, moments) };
  }

  kill(): void {
    this.#ended.add(this.#name);
  }

  #live(): void {
    if (this.#ended.has(this.#name)) throw new Error(`${this.#name} was killed`);
  }

  #metadata(metadata: MetadataStore): MetadataStore {
    const living = async <T>(act: () => Promise<T>): Promise<T> => {
      this.#live();
      const result = await act();
      this.#live();
      return result;
    };
    return {
      get: (key) => living(() => metadata.get(key)),
      list: (range) => living(() => metadata.list(range)),
      commit: (change) => living(() => metadata.commit(change)),
      close: () => metadata.close(),
    };
  }

  #tree(tree: RuntimeTree, { beforeMade, beforeShown, afterShown, beforeRemoved, afterRemoved }: Moments): RuntimeTree {
    return treeWith(tree, {
      process: this.#name,
      hasEnded: async (name) => this.#ended.has(name),
      link: async (repository, manifest, files, still) => {
        this.#live();
        await beforeMade?.();
        const asked = async (): Promise<boolean> => {
          const answer = await still();
          await beforeShown?.();
          this.#live();
          return answer;
        };
        const made = await tree.link(repository, manifest, files, asked);
        await afterShown?.();
        this.#live();
        return made;
      },
      unlink: async (repository, manifest) => {
        this.#live();
        await beforeRemoved?.();
        await tree.unlink(repository, manifest);
        await afterRemoved?.();
        this.#live();
      },
    });
  }
}
