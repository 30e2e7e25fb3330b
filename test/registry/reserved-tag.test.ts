import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { acquire } from "../../src/registry/acquire.ts";
import { deleteArtifact } from "../../src/registry/delete-artifact.ts";
import { findRegistered } from "../../src/registry/find-model.ts";
import { keys } from "../../src/storage/keys.ts";
import { manifestContentOf } from "../support/manifest-content.ts";
import { TOKEN_HOLDER, acquisitionOf, putFile, quick } from "../support/acquisitions.ts";
import { modelFaults, registeredFaults } from "../support/model-invariants.ts";
import { callerWith } from "../support/callers.ts";
import { codeOf } from "../support/error-of.ts";
import { repository } from "../support/principal.ts";
import { interrupted } from "../support/race.ts";
import { Transitions, imageOf, tag } from "../support/transitions.ts";

const alice = callerWith(["publisher@models"], { name: "alice" });
const mona = callerWith(["maintainer@models"], { name: "mona" });
const REPOSITORY = repository("models/x");
const IMAGE = imageOf(["one"]);

let at: Transitions;
beforeEach(async () => {
  at = await Transitions.start();
  await putFile(at.directory, "x.gguf", "x");
  for (const content of ["{}", "one"]) await at.blob(alice, "models/x", content);
});
afterEach(() => at[Symbol.asyncDispose]());

const acquireX = async (over = at): Promise<void> => {
  await acquire(quick(over.services), TOKEN_HOLDER, acquisitionOf("x", "x.gguf"));
};

describe("the tag latest of a registered artifact's repository", () => {
  test("is moved and deleted by nobody else, whatever else may be pushed there", async () => {
    await acquireX();
    for (const caller of [alice, mona]) {
      expect(await codeOf(() => at.manifest(caller, "models/x", IMAGE, "latest"))).toBe("DENIED");
      expect(await codeOf(() => at.manifest(caller, "models/x", IMAGE, "v1", "latest"))).toBe("DENIED");
      expect(await codeOf(() => at.deleteTag(caller, "models/x", "latest"))).toBe("DENIED");
      expect(await codeOf(() => at.manifest(caller, "models/x", IMAGE, "v1"))).toBe("done");
    }
    expect(await codeOf(() => at.deleteTag(mona, "models/x", "v1"))).toBe("done");
    expect(await registeredFaults(at, "models/x")).toEqual([]);
  });

  test("stays so once the artifact is deleted", async () => {
    await acquireX();
    const found = await findRegistered(at.services, TOKEN_HOLDER, "x");
    if (found === undefined) throw new Error("it was acquired");
    await deleteArtifact(at.services, TOKEN_HOLDER, found, null);
    expect(await codeOf(() => at.manifest(alice, "models/x", IMAGE, "latest"))).toBe("DENIED");
    expect(await registeredFaults(at, "models/x")).toEqual([]);
  });

  test("that was pushed before keeps the name from being registered, until it is gone", async () => {
    await at.manifest(alice, "models/x", IMAGE, "latest");
    expect(await codeOf(acquireX)).toBe("CONFLICT");
    await at.deleteTag(alice, "models/x", "latest");
    expect(await codeOf(acquireX)).toBe("done");
    expect(await registeredFaults(at, "models/x")).toEqual([]);
  });

  test("belongs to the name alone whenever a push or its removal comes in between", async () => {
    for (let moment = 1; ; moment += 1) {
      await using each = await Transitions.start();
      await putFile(each.directory, "x.gguf", "x");
      for (const content of ["{}", "one"]) await each.blob(alice, "models/x", content);
      const push = (over: Transitions): Promise<string> => codeOf(() => over.manifest(alice, "models/x", IMAGE, "latest"));
      let second = "";
      const race = interrupted(each.services, moment, async () => {
        second = await push(each);
      });
      const first = await codeOf(() => acquire(quick(race.services), TOKEN_HOLDER, acquisitionOf("x", "x.gguf")));
      if (!race.came()) break;
      expect({
        moment,
        faults: await modelFaults(each.services.metadata),
        done: [first, second].filter((code) => code === "done"),
      }).toEqual({
        moment,
        faults: [],
        done: ["done"],
      });
    }
  }, 60_000);

  test("belongs to the name alone whenever it is registered while a push or a removal of the tag is under way", async () => {
    const acts: readonly ((over: Transitions) => Promise<unknown>)[] = [
      (over) => over.manifest(alice, "models/x", IMAGE, "latest"),
      (over) => over.deleteTag(mona, "models/x", "latest"),
    ];
    for (const act of acts) {
      for (let moment = 1; ; moment += 1) {
        await using each = await Transitions.start();
        await putFile(each.directory, "x.gguf", "x");
        for (const content of ["{}", "one"]) await each.blob(alice, "models/x", content);
        const race = interrupted(each.services, moment, async () => {
          await codeOf(() => acquire(quick(each.services), TOKEN_HOLDER, acquisitionOf("x", "x.gguf")));
        });
        await codeOf(() => act(each.through(race.services)));
        if (!race.came()) break;
        const owned = await each.services.metadata.get(keys.modelRepository(REPOSITORY));
        const tagged = await each.services.metadata.get(keys.tagPushed(REPOSITORY, tag("latest")));
        expect({ moment, faults: await modelFaults(each.services.metadata), tagged: tagged !== undefined }).toEqual({
          moment,
          faults: [],
          tagged: owned !== undefined || tagged !== undefined,
        });
      }
    }
  }, 60_000);
});

describe("a registered artifact that was deleted", () => {
  test("comes back by acquiring it, and not by a push of its manifest, which knows of no file", async () => {
    await acquireX();
    const found = await findRegistered(at.services, TOKEN_HOLDER, "x");
    if (found === undefined) throw new Error("it was acquired");
    const bytes = await manifestContentOf(at.services.metadata, found);
    await deleteArtifact(at.services, TOKEN_HOLDER, found, null);
    // Its file is somebody else's by now.
    await putFile(at.directory, "x.gguf", "x");
    await acquire(quick(at.services), TOKEN_HOLDER, acquisitionOf("y", "x.gguf"));
    expect(await codeOf(() => at.manifest(alice, "models/x", JSON.parse(bytes) as object))).toBe("DENIED");
    expect(await registeredFaults(at, "models/x")).toEqual([]);
    await putFile(at.directory, "z.gguf", "x");
    await acquire(quick(at.services), TOKEN_HOLDER, acquisitionOf("x", "z.gguf"));
    expect(await registeredFaults(at, "models/x")).toEqual([]);
  });

  test("and pushing what is not deleted makes whoever pushes it one of its uploaders, as ever", async () => {
    await acquireX();
    const found = await findRegistered(at.services, TOKEN_HOLDER, "x");
    if (found === undefined) throw new Error("it was acquired");
    const bytes = await manifestContentOf(at.services.metadata, found);
    expect(await codeOf(() => at.manifest(alice, "models/x", JSON.parse(bytes) as object, "v2"))).toBe("done");
    expect((await findRegistered(at.services, TOKEN_HOLDER, "x"))?.record.uploaders).toContain("alice");
    expect(await registeredFaults(at, "models/x")).toEqual([]);
  });
});
