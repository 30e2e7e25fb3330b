import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createLogger } from "../../src/log.ts";
import { OpenDownloads, servingEpoch } from "../../src/registry/open-downloads.ts";
import { keys } from "../../src/storage/keys.ts";
import { openLmdb } from "../../src/storage/lmdb.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";
import { v7 } from "../support/uuid.ts";

let directory: string;
let metadata: MetadataStore;
/** Set: reads of the epoch fail. */
let broken: Error | undefined;
let looks = 0;
let downloads: OpenDownloads;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "amr-downloads-"));
  metadata = await openLmdb(directory);
  broken = undefined;
  looks = 0;
  const watched: Pick<MetadataStore, "get"> = {
    get: async (key) => {
      looks += 1;
      if (broken !== undefined) throw broken;
      return metadata.get(key);
    },
  };
  downloads = new OpenDownloads({ metadata: { ...watched } as MetadataStore, log: createLogger("silent") });
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});

afterEach(async () => {
  vi.useRealTimers();
  await metadata.close();
  await rm(directory, { recursive: true, force: true });
});

async function raiseEpoch(): Promise<void> {
  const audit = { id: v7(), time: 0, type: "test.change", actor: { principal: "system", kind: "system" }, outcome: "allow" } as const;
  await metadata.commit({ expect: [], put: [{ key: keys.servingEpoch(), value: {} }], remove: [], audit: [audit] });
}

/** A second of the clock, with all looks that fall into it. */
async function second(): Promise<void> {
  await vi.advanceTimersByTimeAsync(1000);
}

interface Watched {
  asked: number;
  cut: boolean;
  readonly release: () => void;
}

async function begin(isAllowed: () => Promise<boolean>): Promise<Watched> {
  const epoch = await servingEpoch({ metadata });
  const watched = { asked: 0, cut: false };
  const release = downloads.track({
    epoch,
    isAllowed: () => {
      watched.asked += 1;
      return isAllowed();
    },
    cut: () => {
      watched.cut = true;
    },
  });
  return Object.assign(watched, { release });
}

describe("OpenDownloads", () => {
  test("asks again within a second of a change, and cuts what is no longer allowed and nothing else", async () => {
    const [denied, allowed] = [await begin(async () => false), await begin(async () => true)];
    await second();
    expect([denied.asked, allowed.asked]).toEqual([0, 0]);
    await raiseEpoch();
    await second();
    expect([denied.cut, allowed.cut]).toEqual([true, false]);
    expect(allowed.asked).toBe(1);
  });

  test("asks once for each change", async () => {
    const download = await begin(async () => true);
    for (let changes = 1; changes <= 3; changes += 1) {
      await raiseEpoch();
      await second();
      await second();
      expect(download.asked).toBe(changes);
    }
  });

  test("asks for a download that was decided on before a change which it has looked at already", async () => {
    const early = await begin(async () => true);
    const epoch = await servingEpoch({ metadata });
    await raiseEpoch();
    await second();
    expect(early.asked).toBe(1);
    let cut = false;
    downloads.track({ epoch, isAllowed: async () => false, cut: () => (cut = true) });
    await second();
    expect(cut).toBe(true);
  });

  test("cuts what cannot be decided on", async () => {
    const download = await begin(() => Promise.reject(new Error("no answer")));
    await raiseEpoch();
    await second();
    expect(download.cut).toBe(true);
  });

  test("asks for everything while the epoch cannot be read", async () => {
    const [allowed, denied] = [await begin(async () => true), await begin(async () => false)];
    broken = new Error("no answer");
    await second();
    expect([allowed.cut, denied.cut]).toEqual([false, true]);
    expect(allowed.asked).toBeGreaterThan(0);
  });

  test("cuts nothing that has ended, and looks at nothing while nothing is under way", async () => {
    const download = await begin(async () => false);
    download.release();
    await raiseEpoch();
    await second();
    expect([download.asked, download.cut, looks]).toEqual([0, false, 0]);
    expect(vi.getTimerCount()).toBe(0);
    const next = await begin(async () => false);
    await raiseEpoch();
    await second();
    expect(next.cut).toBe(true);
  });
});
