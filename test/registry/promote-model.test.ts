import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf, encodedOf } from "../../src/oci/digest.ts";
import { NO_SCAN_EVIDENCE } from "../../src/policy/scan-evidence.ts";
import { acquire } from "../../src/registry/acquire.ts";
import { type ShownModel, findRegistered } from "../../src/registry/find-model.ts";
import { modelEvents } from "../../src/registry/model-events.ts";
import type { Caller } from "../../src/registry/ports.ts";
import { promoteModel } from "../../src/registry/promote-model.ts";
import { verifyBlob } from "../../src/registry/verify-blob.ts";
import { verifyAudit } from "../../src/registry/verify-audit.ts";
import type { Registry } from "../../src/services.ts";
import { keys, under } from "../../src/storage/keys.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";
import { TOKEN_HOLDER, acquisitionOf, putFile, quick } from "../support/acquisitions.ts";
import { callerWith } from "../support/callers.ts";
import { codeOf } from "../support/error-of.ts";
import { modelFaults, registeredFaults } from "../support/model-invariants.ts";
import { overwrite } from "../support/damaged-bytes.ts";
import { interrupted, later } from "../support/race.ts";
import { Transitions } from "../support/transitions.ts";
import { underWayIn } from "../support/under-way.ts";

let at: Transitions;
beforeEach(async () => {
  at = await Transitions.start();
});
afterEach(() => at[Symbol.asyncDispose]());

async function promote(
  name: string,
  filename: string,
  services: Registry = at.services,
  caller: Caller = TOKEN_HOLDER,
): Promise<ShownModel> {
  const acquisition = acquisitionOf(name, filename, { sha256: encodedOf(digestOf(name)) });
  const tensorManifest = { path: "", digest: null };
  return promoteModel(quick(services), caller, { acquisition, scan: NO_SCAN_EVIDENCE, fingerprint: {}, tensorManifest });
}

async function told(registry: Transitions): Promise<string[]> {
  const events: string[] = [];
  for await (const { action, name, from_state: from, to_state: to } of modelEvents(registry.services)) {
    events.push(`${action} ${name}: ${from}>${to}`);
  }
  return events;
}

/** The services with a store that calls back before each commit. */
function watching(services: Registry, beforeCommit: (count: number) => void): Registry {
  let commits = 0;
  const { metadata } = services;
  const watched: MetadataStore = {
    get: (key) => metadata.get(key),
    list: (range) => metadata.list(range),
    commit: async (change) => {
      commits += 1;
      beforeCommit(commits);
      return metadata.commit(change);
    },
    close: () => metadata.close(),
  };
  return { ...services, metadata: watched };
}

describe("promoting a name that is not known", () => {
  test("acquires and promotes it in one commit, and both are told", async () => {
    await putFile(at.directory, "m.gguf", "m");
    let commits = 0;
    const { record } = await promote(
      "m",
      "m.gguf",
      watching(at.services, (count) => (commits = count)),
    );
    // The other one takes the pending row of the folder in trusted/ away.
    expect([record.state, commits]).toEqual(["trusted", 2]);
    expect(await told(at)).toEqual(["acquire m: undefined>acquired", "promote m: acquired>trusted"]);
    expect(await registeredFaults(at, "models/m")).toEqual([]);
    expect(await readdir(join(at.directory, "trusted/models/m"))).toHaveLength(1);
  });

  test.each([
    ["before any commit leaves nothing", 1, undefined],
    ["after the first one leaves the whole", 2, "trusted"],
  ])("that is cut off %s", async (_, cut, state) => {
    await putFile(at.directory, "m.gguf", "m");
    const broken = watching(at.services, (count) => {
      if (count >= cut) throw new Error("cut off");
    });
    await expect(promote("m", "m.gguf", broken)).rejects.toThrow("cut off");
    expect((await findRegistered(at.services, TOKEN_HOLDER, "m"))?.record.state).toBe(state);
    expect((await at.services.metadata.list(under(keys.manifests(), 10))).length > 0).toBe(state !== undefined);
    expect(await modelFaults(at.services.metadata)).toEqual([]);
    expect((await promote("m", "m.gguf")).record.state).toBe("trusted");
    expect(await registeredFaults(at, "models/m")).toEqual([]);
  });

  test("is refused without a trace but its refusal", async () => {
    await putFile(at.directory, "m.gguf", "m");
    const strict = { ...at.services, settings: { ...at.services.settings, promotionPolicy: "predecessor-evidence" as const } };
    expect(await codeOf(() => promote("m", "m.gguf", strict))).toBe("REFUSED");
    const { metadata } = at.services;
    for (const family of [
      keys.manifests(),
      keys.modelNames(),
      keys.modelEvents(),
      keys.repositories(),
      ["link"] as const,
      ["tag-pushed"] as const,
    ])
      expect(await metadata.list(under(family, 10))).toEqual([]);
    expect(await metadata.list(under(["decision"], 10))).toHaveLength(1);
    expect(await underWayIn(at.directory)).toEqual([]);
  });

  test("is denied to who would promote what it has put there itself, without a trace", async () => {
    await putFile(at.directory, "m.gguf", "m");
    const both = callerWith(["publisher@models", "reviewer@models"], { name: "both" });
    expect(await codeOf(() => promote("m", "m.gguf", at.services, both))).toBe("DENIED");
    expect(await findRegistered(at.services, TOKEN_HOLDER, "m")).toBeUndefined();
    expect(await at.services.metadata.list(under(keys.manifests(), 10))).toEqual([]);
    // Nor may who may only acquire, or only promote.
    for (const role of ["publisher@models", "reviewer@models", "operator@*"] as const) {
      expect(await codeOf(() => promote("m", "m.gguf", at.services, callerWith([role], { name: "one" })))).toBe("DENIED");
    }
    expect(await registeredFaults(at)).toEqual([]);
  });

  test("succeeds for many names at once, in several processes, without a false conflict", async () => {
    const names = Array.from({ length: 24 }, (_, n) => `m${n}`);
    await Promise.all(names.map((name) => putFile(at.directory, `${name}.gguf`, name)));
    const another = await at.another();
    try {
      const found = await Promise.all(names.map((name, n) => promote(name, `${name}.gguf`, n % 2 === 0 ? at.services : another)));
      expect(found.map(({ record }) => record.state)).toEqual(names.map(() => "trusted"));
      expect(await registeredFaults(at, ...names.map((name) => `models/${name}`))).toEqual([]);
      expect(await verifyAudit(at.services, 0)).toMatchObject({ broken: undefined });
    } finally {
      await another.close();
    }
  }, 60_000);

  test("succeeds once for many callers of one name, and all get its record", async () => {
    await putFile(at.directory, "m.gguf", "m");
    const another = await at.another();
    try {
      const found = await Promise.all(Array.from({ length: 6 }, (_, n) => promote("m", "m.gguf", n % 2 === 0 ? at.services : another)));
      expect(new Set(found.map(({ record }) => `${record.state} ${record.digest}`)).size).toBe(1);
      expect((await told(at)).filter((event) => event.startsWith("acquire"))).toHaveLength(1);
      expect(await registeredFaults(at, "models/m")).toEqual([]);
    } finally {
      await another.close();
    }
  });
});

test("promoting an unknown name with the bytes of a damaged blob heals it wherever it is, before it is answered", async () => {
  await putFile(at.directory, "m.gguf", "m");
  const { record } = await promote("m", "m.gguf");
  await overwrite(at.directory, digestOf("m"), "M");
  expect(await verifyBlob(at.services, digestOf("m"))).toMatchObject({ outcome: "damaged" });
  const folder = join(at.directory, "trusted/models/m", record.digest.replace(":", "-"));
  await expect(readdir(folder)).rejects.toThrow("ENOENT");
  await putFile(at.directory, "n.gguf", "m");
  const acquisition = acquisitionOf("n", "n.gguf", { sha256: encodedOf(digestOf("m")) });
  const said = { scan: NO_SCAN_EVIDENCE, fingerprint: {}, tensorManifest: { path: "", digest: null } };
  await promoteModel(quick(at.services), TOKEN_HOLDER, { acquisition, ...said });
  expect(await readdir(folder)).toEqual(["m.gguf"]);
  expect(await registeredFaults(at, "models/m", "models/n")).toEqual([]);
});

describe("a promotion of an unknown name, whenever another one comes in between,", () => {
  const others: Readonly<Record<string, (each: Transitions) => Promise<unknown>>> = {
    "that acquires the same file under that name": (each) => acquire(quick(each.services), TOKEN_HOLDER, acquisitionOf("m", "m.gguf")),
    "that acquires another file under that name": (each) => acquire(quick(each.services), TOKEN_HOLDER, acquisitionOf("m", "other.gguf")),
    "that acquires the file under another name": (each) => acquire(quick(each.services), TOKEN_HOLDER, acquisitionOf("n", "m.gguf")),
    "that acquires something else": (each) => acquire(quick(each.services), TOKEN_HOLDER, acquisitionOf("n", "other.gguf")),
    "that promotes the same": (each) => promote("m", "m.gguf", each.services),
  };

  test.each(Object.keys(others))(
    "%s, is whole or refused",
    async (what) => {
      for (let moment = 1; ; moment = later(moment, 6)) {
        await using each = await Transitions.start();
        await putFile(each.directory, "m.gguf", "m");
        await putFile(each.directory, "other.gguf", "other");
        const race = interrupted(each.services, moment, async () => void (await codeOf(() => others[what]?.(each) ?? Promise.resolve())));
        const code = await codeOf(() => promote("m", "m.gguf", race.services));
        if (!race.came()) break;
        const found = await findRegistered(each.services, TOKEN_HOLDER, "m");
        const isWhole = found?.record.state === "trusted" && found.details?.path === "m.gguf";
        expect({ moment, code, isWhole, faults: await registeredFaults(each) }).toEqual({
          moment,
          code: isWhole ? "done" : "CONFLICT",
          isWhole: code === "done",
          faults: [],
        });
      }
    },
    120_000,
  );
});
