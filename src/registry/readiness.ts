import { keys } from "../storage/keys.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "clock" | "newId" | "log">;

/** How long an answer stands: strangers may ask, and each look writes. */
const FRESH = 10_000;

/** `degraded`: what is there is served, and nothing new is taken in, since only the reserve is left of the storage. */
export type Condition = "ok" | "degraded" | "unavailable";

/** Tells whether the registry can do its work: metadata and uploads can be written, and what was written is read. */
export class Readiness {
  readonly #needs: Needs;
  #looked = 0;
  #condition: Promise<Condition> = Promise.resolve("unavailable");

  constructor(needs: Needs) {
    this.#needs = needs;
  }

  /** Looks, at most once in ten seconds. */
  condition(): Promise<Condition> {
    const now = this.#needs.clock();
    if (now - this.#looked < FRESH) return this.#condition;
    this.#looked = now;
    this.#condition = this.#look();
    return this.#condition;
  }

  async #look(): Promise<Condition> {
    const { metadata, blobs, clock, newId, log } = this.#needs;
    const key = keys.job("readiness");
    const upload = `readiness-${newId()}`;
    try {
      await metadata.commit({ expect: [], put: [{ key, value: { v: 1, at: clock() } }], remove: [], audit: [] });
      await blobs.stage(upload);
      await blobs.discard(upload);
      if ((await metadata.get(key)) === undefined) return "unavailable";
      return (await blobs.room()) > 0 ? "ok" : "degraded";
    } catch (error) {
      log.error({ err: error }, "not ready");
      return "unavailable";
    }
  }
}
