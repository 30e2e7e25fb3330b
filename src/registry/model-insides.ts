import type { ModelDetails } from "../formats/model-details.ts";
import type { Unreadable } from "../formats/model-facts.ts";
import type { Digest } from "../oci/digest.ts";
import { InspectionError } from "../scan/inspection.ts";
import type { Caller, Services } from "./ports.ts";

/** What is known of the inside of a model file. `under-way`: a process is still reading it; ask again. */
export type Inside = ModelDetails | Unreadable | "under-way";

/** Who asks, as a person: keys that an owner made for itself ask as one (RULES 17). */
interface Asking {
  readonly principal: Pick<Caller["principal"], "countsAs">;
}

/** Files that are remembered in a process: each up to some megabytes of names. */
const MAX_REMEMBERED = 16;
/** Files that are being read or wait for it, and those of them that one person asked for: who opens many pages has nobody else wait longer. */
const MAX_UNDER_WAY = 8;
const MAX_OF_PERSON = 2;
/** Milliseconds that a page waits. */
const PATIENCE = 8_000;

/**
 * Headers of model files, read when somebody asks and remembered by the digest of the file, so that they never change. Reading is done by
 * processes of their own; this one waits a while, and goes on without them.
 */
export class ModelInsides {
  readonly #services: Pick<Services, "inspector" | "blobs" | "log">;
  readonly #patience: number;
  /** The one that was asked for last at the end. */
  readonly #known = new Map<string, ModelDetails | Unreadable>();
  readonly #underWay = new Map<string, { readonly person: string; readonly reading: Promise<Inside> }>();

  constructor(services: Pick<Services, "inspector" | "blobs" | "log">, patience = PATIENCE) {
    this.#services = services;
    this.#patience = patience;
  }

  /** What is remembered of a file; asks for nothing. */
  remembered(digest: Digest): ModelDetails | Unreadable | undefined {
    const known = this.#known.get(digest);
    if (known === undefined) return undefined;
    this.#known.delete(digest);
    this.#known.set(digest, known);
    return known;
  }

  /** The inside of a file that is served to the caller; `name` says by its ending what it claims to be. */
  async of({ principal }: Asking, digest: Digest, name: string): Promise<Inside> {
    const known = this.remembered(digest);
    if (known !== undefined) return known;
    const reading = this.#underWay.get(digest)?.reading ?? this.#begin(principal.countsAs, digest, name);
    if (reading === undefined) return "under-way";
    const { promise, resolve } = Promise.withResolvers<Inside>();
    const timer = setTimeout(() => resolve("under-way"), this.#patience);
    try {
      return await Promise.race([reading, promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  #begin(person: string, digest: Digest, name: string): Promise<Inside> | undefined {
    const ofPerson = [...this.#underWay.values()].filter((each) => each.person === person).length;
    if (this.#underWay.size >= MAX_UNDER_WAY || ofPerson >= MAX_OF_PERSON) return undefined;
    const reading = this.#read(digest, name).finally(() => this.#underWay.delete(digest));
    this.#underWay.set(digest, { person, reading });
    return reading;
  }

  async #read(digest: Digest, name: string): Promise<Inside> {
    const { inspector, blobs, log } = this.#services;
    const file = blobs.fileOf(digest);
    if (file === undefined) return { unreadable: "the storage keeps it in no file that can be looked into" };
    try {
      const inside = await inspector.details(file, name);
      this.#remember(digest, inside);
      return inside;
    } catch (error) {
      // It is not the file's fault, and may be otherwise the next time.
      if (error instanceof InspectionError) return { unreadable: error.message };
      log.error({ err: error, digest }, "a file could not be looked into");
      return { unreadable: "it could not be looked into: an operator finds why in the log" };
    }
  }

  #remember(digest: Digest, inside: ModelDetails | Unreadable): void {
    this.#known.set(digest, inside);
    const [oldest] = this.#known.keys();
    if (this.#known.size > MAX_REMEMBERED && oldest !== undefined) this.#known.delete(oldest);
  }
}
