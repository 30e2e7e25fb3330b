import { randomInt } from "node:crypto";
import type { Registry } from "../../src/services.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";
import { runs } from "./runs.ts";

/** When the other actor comes in: before the first commit, or before a call to the metadata by its number. */
export type Moment = "commit" | number;

/** A moment after this one, on the average `stride` later by default, another one each time; with GATE_RUNS of as many, all come. */
export function later(moment: number, stride: number): number {
  const most = Math.max(1, Math.round((2 * stride - 1) / runs(1)));
  return moment + randomInt(1, most + 1);
}

/** The services of one actor, which at some moment lets another actor do all of its work. `came` tells whether there was that moment. */
export function interrupted(services: Registry, moment: Moment, other: () => Promise<void>): { services: Registry; came: () => boolean } {
  const { metadata } = services;
  let calls = 0;
  let came = false;
  const turn = async (isCommit: boolean): Promise<void> => {
    calls += 1;
    if (came || (moment === "commit" ? !isCommit : calls !== moment)) return;
    came = true;
    await other();
  };
  const wrapped: MetadataStore = {
    get: async (key) => {
      await turn(false);
      return metadata.get(key);
    },
    list: async (range) => {
      await turn(false);
      return metadata.list(range);
    },
    commit: async (change) => {
      await turn(true);
      return metadata.commit(change);
    },
    close: () => metadata.close(),
  };
  return { services: { ...services, metadata: wrapped }, came: () => came };
}
