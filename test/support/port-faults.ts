import type { DoorServices } from "../../src/http/doors.ts";

/** What a storage driver says when it fails, by the code of the operating system. */
export type FaultCode = "EIO" | "ENOSPC";

/** The calls by which use cases write, and ask for what they are about to write over. */
const CALLS: Readonly<Record<"metadata" | "blobs" | "tree", ReadonlySet<string>>> = {
  metadata: new Set(["commit"]),
  blobs: new Set(["stat", "stage", "staged", "openStaged", "append", "publish", "discard", "remove"]),
  tree: new Set(["link", "unlink"]),
};

/** Has calls of the storage ports fail: the nth that is made after `arm`, and those after it. */
export class PortFaults {
  #left = 0;
  #code: FaultCode = "EIO";
  #lasts = false;
  #failed: string | undefined;

  /** The same services, whose calls of the storage fail when they are told to. */
  around<T extends Pick<DoorServices, "metadata" | "blobs" | "tree">>(services: T): T {
    return {
      ...services,
      metadata: this.#faulty("metadata", services.metadata),
      blobs: this.#faulty("blobs", services.blobs),
      tree: this.#faulty("tree", services.tree),
    };
  }

  /** With `lasts` every later call fails as well, until `disarm`. */
  arm(nth: number, code: FaultCode, lasts: boolean): void {
    this.#left = nth;
    this.#lasts = lasts;
    this.#code = code;
    this.#failed = undefined;
  }

  /** The first call that failed since, when there were as many. */
  disarm(): string | undefined {
    this.#left = 0;
    this.#lasts = false;
    return this.#failed;
  }

  #faulty<P extends object>(port: keyof typeof CALLS, real: P): P {
    return new Proxy(real, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== "function") return member;
        const call = (...args: unknown[]): unknown => Reflect.apply(member, target, args);
        return CALLS[port].has(String(name)) ? (...args: unknown[]) => this.#orFail(`${port}.${String(name)}`, () => call(...args)) : call;
      },
    });
  }

  async #orFail(name: string, call: () => unknown): Promise<unknown> {
    this.#left -= 1;
    if (this.#left > 0 || (this.#left < 0 && !this.#lasts)) return call();
    this.#failed ??= name;
    throw Object.assign(new Error(`/secret/path: ${name} fails`), { code: this.#code });
  }
}
