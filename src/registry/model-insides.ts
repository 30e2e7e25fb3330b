import type { ModelDetails } from "../formats/model-details.ts";
import type { Unreadable } from "../formats/model-facts.ts";
import type { PackedFile, PackedFiles } from "../formats/tar-members.ts";
import type { Digest } from "../oci/digest.ts";
import type { Packing } from "../oci/layer-file.ts";
import { InspectionError } from "../scan/inspection.ts";
import type { PackedCard } from "../scan/inspector.ts";
import type { Services } from "./ports.ts";
import { type Asking, type Reading, Readings, UnderWay } from "./readings.ts";

/** What is known of the inside of a file. `under-way`: a process is still reading it; ask again. */
type Known<T> = T | Unreadable | "under-way";

/** A file in a layer that is an archive. */
export interface PackedAt {
  readonly packing: Packing;
  readonly file: PackedFile;
}

/** Milliseconds that a page waits. */
const PATIENCE = 8_000;

type Needs = Pick<Services, "inspector" | "blobs" | "log">;

/**
 * Headers of model files and what is in archives, read when somebody asks and remembered by the digest of the file, so that they never change.
 * Reading is done by processes of their own; this one waits a while, and goes on without them.
 */
export class ModelInsides {
  readonly #services: Needs;
  readonly #details: Readings<ModelDetails>;
  readonly #files: Readings<PackedFiles>;
  readonly #cards: Readings<PackedCard>;
  /** Milliseconds that a page waits in all, however many files it asks about one after another. */
  readonly patience: number;

  constructor(services: Needs, patience = PATIENCE) {
    this.patience = patience;
    this.#services = services;
    const underWay = new UnderWay();
    this.#details = new Readings(underWay, patience);
    this.#files = new Readings(underWay, patience);
    this.#cards = new Readings(underWay, patience);
  }

  /** What is remembered of a file; asks for nothing. */
  remembered(digest: Digest): ModelDetails | Unreadable | undefined {
    return this.#details.remembered(digest);
  }

  /** The inside of a file that is served to the caller; `name` says by its ending what it claims to be. */
  async of(asking: Asking, digest: Digest, name: string): Promise<Known<ModelDetails>> {
    const { inspector } = this.#services;
    return this.#details.of(asking, digest, () => this.#read(digest, (path) => inspector.details(path, name)));
  }

  /** The inside of a file in an archive that is served to the caller, where `filesIn` found it. */
  async inArchive(asking: Asking, digest: Digest, { packing, file }: PackedAt): Promise<Known<ModelDetails>> {
    const { inspector } = this.#services;
    const place = { packing, at: file.at, size: file.size };
    return this.#details.of(asking, `${digest} ${packing} ${file.at}`, () =>
      this.#read(digest, (path) => inspector.details(path, file.path, place)),
    );
  }

  /** The files in an archive that is served to the caller. */
  async filesIn(asking: Asking, digest: Digest, packing: Packing): Promise<Known<PackedFiles>> {
    const { inspector } = this.#services;
    return this.#files.of(asking, `${digest} ${packing}`, () => this.#read(digest, (path) => inspector.files(path, packing)));
  }

  /** The beginning of the README in an archive that is served to the caller, who has so many milliseconds of its patience left. */
  async cardIn(
    asking: Asking,
    { digest, packing }: { readonly digest: Digest; readonly packing: Packing },
    left = this.patience,
  ): Promise<Known<PackedCard>> {
    const { inspector } = this.#services;
    return this.#cards.of(asking, `${digest} ${packing}`, () => this.#read(digest, (path) => inspector.card(path, packing)), left);
  }

  async #read<T>(digest: Digest, look: (path: string) => Promise<T | Unreadable>): Promise<Reading<T>> {
    const { blobs, log } = this.#services;
    try {
      return { result: await blobs.inFile(digest, look), isLasting: true };
    } catch (error) {
      // It is not the file's fault, and may be otherwise the next time.
      if (error instanceof InspectionError) return passing(error.message);
      log.error({ err: error, digest }, "a file could not be looked into");
      return passing("it could not be looked into: an operator finds why in the log");
    }
  }
}

function passing(why: string): Reading<never> {
  return { result: { unreadable: why }, isLasting: false };
}
