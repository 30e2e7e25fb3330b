import { keys } from "../storage/keys.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "clock" | "newId" | "log">;

/** How long an answer stands: strangers may ask, and each look writes. */
const FRESH = 10_000;

/** Tells whether the registry can do its work: metadata and uploads can be written, and what was written is read. */
export class Readiness {
  readonly #needs: Needs;
  #looked = 0;
  #ready: Promise<boolean> = Promise.resolve(false);

  constructor(needs: Needs) {
    this.#needs = needs;
  }

  /** Looks, at most once in ten seconds. */
  isReady(): Promise<boolean> {
    const now = this.#needs.clock();
    if (now - this.#looked < FRESH) return this.#ready;
    this.#looked = now;
    this.#ready = this.#look();
    return this.#ready;
  }

  async #look(): Promise<boolean> {
    const { metadata, blobs, clock, newId, log } = this.#needs;
    const key = keys.job("readiness");
    const upload = `readiness-${newId()}`;
    try {
      await metadata.commit({ expect: [], put: [{ key, value: { v: 1, at: clock() } }], remove: [], audit: [] });
      await blobs.stage(upload);
      await blobs.discard(upload);
      return (await metadata.get(key)) !== undefined;
    } catch (error) {
      log.error({ err: error }, "not ready");
      return false;
    }
  }
}
