import { readFile, stat, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startModels } from "../../support/model-doors.ts";
import { type Models, type Said, inJson, plainly, sha256Of } from "../../support/models.ts";

let models: Models;
beforeAll(async () => {
  models = await startModels();
});
afterAll(() => models[Symbol.asyncDispose]());

type State = "none" | "acquired" | "quarantined" | "trusted" | "revoked" | "deleted";
type Call = "acquire" | "quarantine" | "promote" | "revoke" | "delete";

const fileOf = (name: string): string => `${name}.gguf`;

/** Brings a name of its own into a state. */
async function bring(state: State, name: string): Promise<void> {
  await models.put(fileOf(name), name);
  if (state === "none") return;
  await models.acquire(name, fileOf(name));
  if (state === "quarantined") await models.must("quarantine", name);
  if (state === "trusted") await models.promote(name, fileOf(name), sha256Of(name));
  if (state === "revoked") await models.must("revoke", name);
  if (state === "deleted") {
    await models.must("delete", name);
    await models.put(fileOf(name), name);
  }
}

async function call(which: Call, name: string): Promise<Said> {
  const body = { name, filename: fileOf(name), sha256: sha256Of(name) };
  if (which === "acquire" || which === "promote") return models.said("POST", `/v1/model/${which}`, { body });
  return models.said(which === "delete" ? "DELETE" : "POST", `/v1/model/${which}?name=${encodeURIComponent(name)}`);
}

const TAKEN = plainly(409, "artifact name or filename is already registered");
const record = (_: string, text: string): Said => ({ status: 201, type: "application/json", text });
const UNKNOWN = plainly(404, "model not found");
const ok = (status: string) => (name: string) => inJson(200, `{"name":"${name}","status":"${status}"}`);
const mayNot = (what: string, state: string) => (name: string) =>
  inJson(409, `{"error":"cannot ${what.replace("NAME", `\\"${name}\\"`)} ${state}"}`);
const quarantining = (state: string) => mayNot("quarantine artifact NAME:", `must be in acquired state, currently ${state}`);

// secai-behaviour 1.7 in the column of the README, but that acquire never takes a name away from what is trusted or revoked. The last
// member is the state afterwards.
const TABLE: readonly (readonly [State, Call, Said | ((name: string, text: string) => Said), State])[] = [
  ["none", "acquire", record, "acquired"],
  ["none", "quarantine", UNKNOWN, "none"],
  ["none", "promote", record, "trusted"],
  ["none", "revoke", UNKNOWN, "none"],
  ["none", "delete", UNKNOWN, "none"],
  ["acquired", "acquire", record, "acquired"],
  ["acquired", "quarantine", ok("quarantined"), "quarantined"],
  ["acquired", "promote", record, "trusted"],
  ["acquired", "revoke", ok("revoked"), "revoked"],
  ["acquired", "delete", ok("deleted"), "deleted"],
  // DESIGN §2: what is held back stays so, whoever brings it again.
  ["quarantined", "acquire", record, "quarantined"],
  ["quarantined", "quarantine", ok("already_quarantined"), "quarantined"],
  ["quarantined", "promote", record, "trusted"],
  ["quarantined", "revoke", ok("revoked"), "revoked"],
  ["quarantined", "delete", ok("deleted"), "deleted"],
  ["trusted", "acquire", TAKEN, "trusted"],
  ["trusted", "quarantine", quarantining("trusted"), "trusted"],
  ["trusted", "promote", record, "trusted"],
  ["trusted", "revoke", ok("revoked"), "revoked"],
  ["trusted", "delete", ok("deleted"), "deleted"],
  ["revoked", "acquire", TAKEN, "revoked"],
  ["revoked", "quarantine", quarantining("revoked"), "revoked"],
  ["revoked", "promote", record, "trusted"],
  ["revoked", "revoke", ok("already_revoked"), "revoked"],
  ["revoked", "delete", ok("deleted"), "deleted"],
  ["deleted", "acquire", record, "acquired"],
  ["deleted", "quarantine", quarantining("deleted"), "deleted"],
  ["deleted", "promote", mayNot("promote artifact NAME:", "currently in deleted state"), "deleted"],
  ["deleted", "revoke", mayNot("revoke artifact NAME:", "already in deleted state"), "deleted"],
  ["deleted", "delete", ok("already_deleted"), "deleted"],
];

test.each(TABLE)("from %s, %s", async (state, which, expected, after) => {
  const name = `${state}-${which}`;
  await bring(state, name);
  const answer = await call(which, name);
  expect(answer).toEqual(typeof expected === "function" ? expected(name, answer.text) : expected);
  const shown = await models.byName("GET", "/v1/model", name);
  expect(after === "none" ? shown.status : (shown.json() as { state: string }).state).toBe(after === "none" ? 404 : after);
});

test("the table is whole", () => {
  expect(new Set(TABLE.map(([state, which]) => `${state} ${which}`)).size).toBe(30);
});

describe("quarantine, revoke and delete", () => {
  test.each(["POST /v1/model/quarantine", "POST /v1/model/revoke", "DELETE /v1/model/delete"])(
    "%s refuse what is no name",
    async (door) => {
      const [method = "", path = ""] = door.split(" ");
      for (const query of ["", "?name=", "?name=%20x", "?name=a%0Ab", `?name=${"x".repeat(257)}`, "?name=%zz", "?name=%ff", "?other=x"]) {
        expect({ query, ...(await models.said(method, path + query)) }).toEqual({ query, ...plainly(400, "missing ?name= parameter") });
      }
    },
  );

  test("take the first name, plus signs for blanks, and no heed of a body", async () => {
    await models.put("Two Words.gguf", "two");
    await models.acquire("Two Words", "Two Words.gguf");
    const answer = await models.said("POST", "/v1/model/quarantine?name=Two+Words&name=other", { body: "not json" });
    expect(answer).toEqual(inJson(200, '{"name":"Two Words","status":"quarantined"}'));
  });

  test("say how a name is written in JSON as Go does", async () => {
    await models.put("sharp.gguf", "sharp");
    await models.acquire("<&>\u2028x", "sharp.gguf");
    const path = `/v1/model/revoke?name=${encodeURIComponent("<&>\u2028x")}`;
    expect(await models.said("POST", path)).toEqual(inJson(200, '{"name":"\\u003c\\u0026\\u003e\\u2028x","status":"revoked"}'));
  });
});

describe("delete", () => {
  test("removes the file that was acquired", async () => {
    await bring("trusted", "removed");
    await models.must("delete", "removed");
    await expect(stat(models.at("removed.gguf"))).rejects.toThrow("ENOENT");
  });

  test.each(["/v1/artifacts", "/v2"])("by %s removes it as well", async (door) => {
    const name = `removed-by-${door.slice(1, 3)}`;
    await bring("acquired", name);
    const { digest } = await models.info(name);
    const path = door === "/v2" ? `/v2/models/${name}/manifests/${digest}` : `/v1/artifacts/models/${name}@${digest}`;
    expect((await models.ask("DELETE", path, { as: "operator" })).status).toBe(door === "/v2" ? 202 : 200);
    await expect(stat(models.at(fileOf(name)))).rejects.toThrow("ENOENT");
  });

  test("leaves a file that took its place, and one that was written over", async () => {
    await bring("acquired", "replaced");
    await writeFile(models.at("replaced.gguf"), "another");
    await models.must("delete", "replaced");
    expect(await readFile(models.at("replaced.gguf"), "utf8")).toBe("another");
  });

  test("leaves the file alone that another name has taken over since, also when it is called again", async () => {
    await bring("acquired", "first");
    await models.must("delete", "first");
    await models.put("first.gguf", "first");
    await models.acquire("second", "first.gguf");
    expect(await call("delete", "first")).toEqual(inJson(200, '{"name":"first","status":"already_deleted"}'));
    expect(await readFile(models.at("first.gguf"), "utf8")).toBe("first");
    await models.must("delete", "second");
    await expect(stat(models.at("first.gguf"))).rejects.toThrow("ENOENT");
  });

  test("frees the name and the file for another artifact", async () => {
    await bring("trusted", "freed");
    await models.must("delete", "freed");
    await models.put("freed.gguf", "new bytes");
    expect(await models.acquire("other-name", "freed.gguf")).toMatchObject({ state: "acquired" });
    await models.put("freed-2.gguf", "new bytes");
    expect(await models.acquire("freed", "freed-2.gguf")).toMatchObject({ state: "acquired", sha256: sha256Of("new bytes") });
  });
});

describe("acquire of a known name", () => {
  test("with another file takes its place, as long as it is neither trusted nor revoked", async () => {
    await bring("quarantined", "again");
    await models.put("again-2.gguf", "second");
    expect(await models.acquire("again", "again-2.gguf")).toMatchObject({ state: "acquired", sha256: sha256Of("second") });
    // The first file is free by that.
    expect(await models.acquire("its-file", "again.gguf")).toMatchObject({ state: "acquired" });
  });

  test("with the same file and words changes nothing, nor does an alias of the file", async () => {
    await bring("acquired", "same");
    const before = await models.byName("GET", "/v1/model", "same");
    const events = await models.ask("GET", "/v1/audit");
    for (const filename of ["same.gguf", "./same.gguf", "x/../same.gguf"]) await models.acquire("same", filename);
    expect((await models.byName("GET", "/v1/model", "same")).text).toBe(before.text);
    expect((await models.ask("GET", "/v1/audit")).text).toBe(events.text);
  });

  test("never brings revoked bytes back by way of other ones", async () => {
    await bring("acquired", "detour");
    const { digest } = await models.info("detour");
    await models.put("detour-2.gguf", "innocent");
    await models.acquire("detour", "detour-2.gguf");
    await models.ask("POST", `/v1/artifacts/models/detour@${digest}/revoke`, { as: "operator", body: { reason: "bad" } });
    expect(await call("acquire", "detour")).toEqual(TAKEN);
    expect(await models.info("detour")).toMatchObject({ state: "acquired", sha256: sha256Of("innocent") });
  });
});

test("a permanent revocation by the other door is final here, too", async () => {
  await bring("trusted", "final");
  const { digest } = await models.info("final");
  const body = { reason: "bad", permanent: true };
  await models.ask("POST", `/v1/artifacts/models/final@${digest}/revoke`, { as: "operator", body });
  const answer = await call("promote", "final");
  expect([answer.status, answer.type]).toEqual([409, "text/plain; charset=utf-8"]);
  expect(await models.info("final")).toMatchObject({ state: "revoked" });
});
