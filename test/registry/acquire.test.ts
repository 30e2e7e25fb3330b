import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { acquire } from "../../src/registry/acquire.ts";
import { findRegistered } from "../../src/registry/find-model.ts";
import { loadManifest } from "../../src/registry/closure.ts";
import type { ShownModel } from "../../src/registry/find-model.ts";
import { modelEvents } from "../../src/registry/model-events.ts";
import { verifyAudit } from "../../src/registry/verify-audit.ts";
import type { Registry } from "../../src/services.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { keys } from "../../src/storage/keys.ts";
import { TOKEN_HOLDER, acquisitionOf, putFile, quick } from "../support/acquisitions.ts";
import { callerWith } from "../support/callers.ts";
import { codeOf } from "../support/error-of.ts";
import { registeredFaults } from "../support/model-invariants.ts";
import { repository } from "../support/principal.ts";
import { interrupted } from "../support/race.ts";
import { Transitions } from "../support/transitions.ts";

const operator = callerWith(["operator@*"], { name: "operator" });

let at: Transitions;
beforeEach(async () => {
  at = await Transitions.start();
});
afterEach(() => at[Symbol.asyncDispose]());

async function take(name: string, filename: string, services: Registry = at.services): Promise<ShownModel> {
  return acquire(quick(services), TOKEN_HOLDER, acquisitionOf(name, filename));
}

async function actions(): Promise<string[]> {
  const told: string[] = [];
  for await (const { action, name, from_state: from, to_state: to } of modelEvents(at.services))
    told.push(`${action} ${name}: ${from}>${to}`);
  return told;
}

describe("many acquisitions at once", () => {
  test("of different names all succeed, and the chain holds every one of them", async () => {
    const names = Array.from({ length: 40 }, (_, n) => `m${n}`);
    await Promise.all(names.map((name) => putFile(at.directory, `${name}.gguf`, name)));
    const found = await Promise.all(names.map((name) => take(name, `${name}.gguf`)));
    expect(found.map(({ name, record }) => [name, record.state])).toEqual(names.map((name) => [name, "acquired"]));
    expect((await actions()).toSorted()).toEqual(names.map((name) => `acquire ${name}: undefined>acquired`).toSorted());
    expect(await registeredFaults(at)).toEqual([]);
    expect(await verifyAudit(at.services, 0)).toMatchObject({ broken: undefined });
  });

  test("of one name and file are one, and all get its record", async () => {
    await putFile(at.directory, "one.gguf", "one");
    const another = await at.another();
    try {
      const found = await Promise.all(Array.from({ length: 8 }, (_, n) => take("one", "one.gguf", n % 2 === 0 ? at.services : another)));
      expect(new Set(found.map(({ record }) => record.digest)).size).toBe(1);
      expect(await actions()).toEqual(["acquire one: undefined>acquired"]);
      expect(await registeredFaults(at, "models/one")).toEqual([]);
    } finally {
      await another.close();
    }
  });

  test("of one file by two names give it to one of them, whenever the other comes", async () => {
    for (let moment = 1; ; moment += 1) {
      await using each = await Transitions.start();
      await putFile(each.directory, "shared.gguf", "shared");
      const codes: string[] = [];
      const race = interrupted(each.services, moment, async () => {
        codes.push(await codeOf(() => take("second", "shared.gguf", each.services)));
      });
      codes.push(await codeOf(() => take("first", "./shared.gguf", race.services)));
      if (!race.came()) break;
      expect({ moment, codes: codes.toSorted(), faults: await registeredFaults(each) }).toEqual({
        moment,
        codes: ["CONFLICT", "done"],
        faults: [],
      });
    }
  }, 60_000);

  test("of a name while it is promoted, revoked or deleted are whole before or whole after that, whenever it comes", async () => {
    const events = {
      promote: (each: Transitions) => each.promote(operator, "models/x", "latest"),
      revoke: async (each: Transitions) => {
        const { record } = await each.find(operator, "models/x", "latest");
        await each.revoke(operator, "models/x", record.digest);
      },
      delete: async (each: Transitions) => {
        const { record } = await each.find(operator, "models/x", "latest");
        await each.delete(operator, "models/x", record.digest);
      },
    };
    for (const event of Object.values(events)) {
      for (let moment = 1; ; moment += 1) {
        await using each = await Transitions.start();
        await putFile(each.directory, "x.gguf", "x");
        await putFile(each.directory, "y.gguf", "y");
        await take("x", "x.gguf", each.services);
        const race = interrupted(each.services, moment, async () => void (await event(each)));
        const code = await codeOf(() => take("x", "y.gguf", race.services));
        if (!race.came()) break;
        const { details } = (await findRegistered(each.services, TOKEN_HOLDER, "x")) ?? {};
        const expected = code === "done" ? { code, file: "y.gguf" } : { code: "CONFLICT", file: "x.gguf" };
        expect({ moment, code, file: details?.path, faults: await registeredFaults(each, "models/x") }).toEqual({
          moment,
          ...expected,
          faults: [],
        });
      }
    }
  }, 120_000);
});

describe("acquiring again", () => {
  test("what is quarantined leaves it so, and tells nobody anything", async () => {
    await putFile(at.directory, "x.gguf", "x");
    const { record } = await take("x", "x.gguf");
    await at.quarantine(operator, "models/x", record.digest);
    expect((await take("x", "x.gguf")).record.state).toBe("quarantined");
    expect(await actions()).toEqual(["acquire x: undefined>acquired", "quarantine x: acquired>quarantined"]);
    expect(await registeredFaults(at, "models/x")).toEqual([]);
  });

  test("heals bytes that were damaged, and links them again when the link was deleted", async () => {
    await putFile(at.directory, "x.gguf", "x");
    const { record } = await take("x", "x.gguf");
    const blob = digestOf("x");
    await at.services.metadata.commit({
      expect: [],
      put: [{ key: keys.blob(blob), value: { v: 1, size: 1, status: "present", damaged: true, touchedAt: 0 } }],
      remove: [],
      audit: [{ id: "1", time: 0, type: "test.damage", actor: { principal: "test", kind: "system" }, outcome: "allow" }],
    });
    expect(await codeOf(() => at.promote(operator, "models/x", "latest"))).toBe("REFUSED");
    await take("x", "x.gguf");
    await at.deleteBlob(operator, "models/x", blob);
    expect(await codeOf(() => at.promote(operator, "models/x", "latest"))).toBe("REFUSED");
    await take("x", "x.gguf");
    expect((await at.promote(operator, "models/x", "latest")).state).toBe("trusted");
    expect((await findRegistered(at.services, TOKEN_HOLDER, "x"))?.record.digest).toBe(record.digest);
    expect(await registeredFaults(at, "models/x")).toEqual([]);
  });

  test.each(["config", "layer"])("links the %s again when its link was deleted", async (which) => {
    await putFile(at.directory, "x.gguf", "x");
    const { record } = await take("x", "x.gguf");
    const manifest = await loadManifest(at.services, repository("models/x"), record);
    const blob = which === "config" ? manifest?.config?.digest : manifest?.layers[0]?.digest;
    await at.deleteBlob(operator, "models/x", blob ?? record.digest);
    expect(await codeOf(() => at.promote(operator, "models/x", "latest"))).toBe("REFUSED");
    await take("x", "x.gguf");
    expect((await at.promote(operator, "models/x", "latest")).state).toBe("trusted");
    expect(await actions()).toEqual(["acquire x: undefined>acquired", "promote x: acquired>trusted"]);
    expect(await registeredFaults(at, "models/x")).toEqual([]);
  });

  test("after deletion begins a new generation that keeps the history and nothing of what was said of the old one", async () => {
    await putFile(at.directory, "x.gguf", "x");
    const { record } = await take("x", "x.gguf");
    await at.promote(operator, "models/x", "latest");
    await at.delete(operator, "models/x", record.digest);
    await putFile(at.directory, "x.gguf", "x");
    const again = await take("x", "x.gguf");
    expect(again.record).toMatchObject({ digest: record.digest, generation: 2, state: "acquired", onceTrusted: false });
    expect(await actions()).toEqual([
      "acquire x: undefined>acquired",
      "promote x: acquired>trusted",
      "delete x: trusted>deleted",
      "acquire x: deleted>acquired",
    ]);
    expect(await registeredFaults(at, "models/x")).toEqual([]);
  });
});

describe("two names that would share a repository", () => {
  test("cannot: the second is refused, whichever it is", async () => {
    await putFile(at.directory, "a.gguf", "a");
    await putFile(at.directory, "b.gguf", "b");
    const free = "Free Name";
    const { repository: slug } = await take(free, "a.gguf");
    const literal = slug.slice("models/".length);
    expect(await codeOf(() => take(literal, "b.gguf"))).toBe("CONFLICT");
    await using other = await Transitions.start();
    await putFile(other.directory, "a.gguf", "a");
    await putFile(other.directory, "b.gguf", "b");
    expect((await take(literal, "b.gguf", other.services)).repository).toBe(slug);
    expect(await codeOf(() => take(free, "a.gguf", other.services))).toBe("CONFLICT");
    expect(await registeredFaults(at)).toEqual([]);
    expect(await registeredFaults(other)).toEqual([]);
  });
});

test("a name is not free any more once somebody makes the namespace that it reads as", async () => {
  await putFile(at.directory, "x.gguf", "x");
  const race = interrupted(at.services, "commit", async () => {
    const value = { v: 1, owner: "publisher", createdBy: "test", createdAt: 0 };
    await at.services.metadata.commit({
      expect: [],
      put: [{ key: keys.namespace("team"), value }],
      remove: [],
      audit: [{ id: "1", time: 0, type: "test.namespace", actor: { principal: "test", kind: "system" }, outcome: "allow" }],
    });
  });
  expect(await codeOf(() => take("team/x:v1", "x.gguf", race.services))).toBe("INVALID");
  expect(await registeredFaults(at)).toEqual([]);
});

describe("who may acquire", () => {
  test.each([
    ["publisher@models", "done"],
    ["maintainer@models", "done"],
    ["owner@models", "done"],
    ["reader@*", "DENIED"],
    ["scanner@*", "DENIED"],
    ["reviewer@models", "DENIED"],
    ["auditor@*", "DENIED"],
    ["operator@*", "DENIED"],
    ["publisher@others", "DENIED"],
  ] as const)("%s: %s", async (role, code) => {
    await putFile(at.directory, "x.gguf", "x");
    const caller = callerWith([role], { name: "somebody" });
    expect(await codeOf(() => acquire(quick(at.services), caller, acquisitionOf("x", "x.gguf")))).toBe(code);
    expect((await findRegistered(at.services, TOKEN_HOLDER, "x"))?.record.uploaders).toEqual(code === "done" ? ["somebody"] : undefined);
  });
});
