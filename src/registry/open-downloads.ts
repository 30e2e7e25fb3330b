import { keys } from "../storage/keys.ts";
import type { Services } from "./ports.ts";

/** A download under way: it was allowed under the epoch that was read before the decision. */
export interface OpenDownload {
  readonly epoch: ServingEpoch;
  /** Asks the serving decision again. */
  readonly isAllowed: () => Promise<boolean>;
  /** Ends the download at once. */
  readonly cut: () => void;
}

/** The version of the record that every change which can end a download puts; zero before the first one. */
export type ServingEpoch = number;

/** How often a worker with downloads under way looks at the epoch, in milliseconds: a revocation cuts them within a second (DESIGN §1). */
const INTERVAL = 200;

/** The epoch now. To be read before a serving decision, so that no change falls between the two. */
export async function servingEpoch({ metadata }: Pick<Services, "metadata">): Promise<ServingEpoch> {
  return (await metadata.get(keys.servingEpoch()))?.version ?? 0;
}

/**
 * The downloads of one worker that are under way. Whichever worker or process commits a change that can end one, each worker sees the
 * epoch move, asks again for each of its downloads, and cuts those that are no longer allowed. Without downloads it looks at nothing.
 */
export class OpenDownloads {
  readonly #services: Pick<Services, "metadata" | "log">;
  /** Each with the epoch under which it was last allowed. */
  readonly #epochs = new Map<OpenDownload, ServingEpoch>();
  #timer: NodeJS.Timeout | undefined;

  constructor(services: Pick<Services, "metadata" | "log">) {
    this.#services = services;
  }

  /** Watches over a download until the function that it returns is called. */
  track(download: OpenDownload): () => void {
    this.#epochs.set(download, download.epoch);
    this.#timer ??= this.#nextLook();
    return () => {
      this.#epochs.delete(download);
      if (this.#epochs.size > 0) return;
      clearTimeout(this.#timer);
      this.#timer = undefined;
    };
  }

  #nextLook(): NodeJS.Timeout {
    return setTimeout(() => void this.#look(), INTERVAL).unref();
  }

  async #look(): Promise<void> {
    const epoch = await servingEpoch(this.#services).catch((error: unknown) => {
      this.#services.log.error({ err: error }, "the serving epoch could not be read: every download is asked for again");
      return undefined;
    });
    const stale = [...this.#epochs].filter(([, seen]) => seen !== epoch).map(([download]) => download);
    await Promise.all(stale.map((download) => this.#askAgain(download, epoch)));
    this.#timer = this.#epochs.size > 0 ? this.#nextLook() : undefined;
  }

  /** Fails closed: a download that cannot be decided on is cut. */
  async #askAgain(download: OpenDownload, epoch: ServingEpoch | undefined): Promise<void> {
    const isAllowed = await download.isAllowed().catch((error: unknown) => {
      this.#services.log.error({ err: error }, "a download could not be decided on again");
      return false;
    });
    if (!this.#epochs.has(download)) return;
    if (isAllowed && epoch !== undefined) this.#epochs.set(download, epoch);
    if (!isAllowed) download.cut();
  }
}
