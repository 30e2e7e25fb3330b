import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HeldFiles } from "../../support/held-files.ts";
import { inspectorHere } from "../../support/inspector.ts";
import { modelFaults } from "../../support/model-invariants.ts";
import { Models, inJson, plainly, sha256Of } from "../../support/models.ts";

let models: Models;
let held: HeldFiles;

/** A client that takes no byte for so long is cut off (ms). */
const IDLE = 1000;

beforeAll(async () => {
  models = await Models.start({
    bounds: { idle: IDLE, checkInterval: 50 },
    around: (services) => {
      held = new HeldFiles(services.files);
      return { ...services, files: held.files, inspector: inspectorHere(services.inspector) };
    },
  });
});
afterAll(() => models[Symbol.asyncDispose]());

/** Asks, and hangs up once the registry reads the file. */
async function hangUp(path: string, body: object, reached: Promise<void>): Promise<void> {
  const authorization = models.authorization("serviceToken") ?? "";
  const outgoing = request(models.registry.url + path, { method: "POST", headers: { Authorization: authorization } });
  const closed = new Promise<void>((resolve) => {
    outgoing.once("close", () => resolve());
  });
  outgoing.on("error", () => undefined);
  outgoing.end(JSON.stringify(body));
  await reached;
  outgoing.destroy();
  await closed;
}

async function stateOf(name: string): Promise<string> {
  const answer = await models.byName("GET", "/v1/model", name);
  return answer.status === 200 ? (answer.json() as { state: string }).state : "unknown";
}

async function becomes(name: string, state: string): Promise<void> {
  while ((await stateOf(name)) !== state) await sleep(10);
}

async function events(name: string): Promise<string[]> {
  const all = (await models.ask("GET", "/v1/audit")).json() as { name: string; action: string }[];
  return all.filter((event) => event.name === name).map(({ action }) => action);
}

describe("work that takes longer than its client waits", () => {
  test.each([
    ["acquire", "acquired", ["acquire"]],
    ["promote", "trusted", ["acquire", "promote"]],
  ])("%s goes on, and whoever asks again finds it done", async (which, state, told) => {
    const name = `left-${which}`;
    const sha256 = await models.put(`${name}.gguf`, name);
    const body = { name, filename: `${name}.gguf`, sha256 };
    const hold = held.hold(`${name}.gguf`);
    await hangUp(`/v1/model/${which}`, body, hold.reached);
    expect(await stateOf(name)).toBe("unknown");
    hold.letGo();
    await becomes(name, state);
    const again = await models.ask("POST", `/v1/model/${which}`, { body });
    expect([again.status, again.json()]).toMatchObject([201, { name, state, sha256 }]);
    expect((await events(name)).slice(0, told.length)).toEqual(told);
    expect(await modelFaults(models.registry.services.metadata)).toEqual([]);
  });

  test.each(["acquire", "promote"])("%s is asked for again while it is under way, and both are answered by one record", async (which) => {
    const name = `twice-${which}`;
    const sha256 = await models.put(`${name}.gguf`, name);
    const body = { name, filename: `${name}.gguf`, sha256 };
    const hold = held.hold(`${name}.gguf`);
    const both = [1, 2].map(() => models.ask("POST", `/v1/model/${which}`, { body }));
    await hold.reached;
    hold.letGo();
    const [first, second] = await Promise.all(both);
    expect([first?.status, second?.status]).toEqual([201, 201]);
    expect(second?.json()).toMatchObject({ digest: (await models.info(name)).digest });
    expect((await events(name)).filter((action) => action === "acquire")).toHaveLength(1);
  });

  test.each(["acquire", "promote"])("%s is answered however long it takes", async (which) => {
    const name = `slow-${which}`;
    const sha256 = await models.put(`${name}.gguf`, name);
    const hold = held.hold(`${name}.gguf`);
    const answer = models.ask("POST", `/v1/model/${which}`, { body: { name, filename: `${name}.gguf`, sha256 } });
    await hold.reached;
    // Twice what an idle connection gets.
    await sleep(2 * IDLE);
    hold.letGo();
    expect((await answer).status).toBe(201);
  });
});

describe("while a file is read", () => {
  test("reads, other changes and the revocation of others are answered, and its name is unknown", async () => {
    const sha256 = await models.put("other.gguf", "other");
    await models.promote("other", "other.gguf", sha256);
    await models.put("busy.gguf", "busy");
    const hold = held.hold("busy.gguf");
    const busy = models.ask("POST", "/v1/model/promote", { body: { name: "busy", filename: "busy.gguf", sha256: sha256Of("busy") } });
    await hold.reached;
    expect(await models.said("GET", "/v1/model?name=busy")).toEqual(plainly(404, "model not found"));
    expect((await models.said("GET", "/v1/models")).status).toBe(200);
    expect((await models.said("GET", "/v1/model/path?name=other")).status).toBe(200);
    await models.put("third.gguf", "third");
    expect(await models.promote("third", "third.gguf", sha256Of("third"))).toMatchObject({ state: "trusted" });
    expect(await models.said("POST", "/v1/model/revoke?name=other")).toEqual(inJson(200, '{"name":"other","status":"revoked"}'));
    hold.letGo();
    expect((await busy).status).toBe(201);
  });

  test("the file changes, and is refused without a trace", async () => {
    await models.put("growing.gguf", "growing");
    const hold = held.hold("growing.gguf");
    const answer = models.said("POST", "/v1/model/acquire", { body: { name: "growing", filename: "growing.gguf" } });
    await hold.reached;
    await models.put("growing.gguf", "growing and growing");
    hold.letGo();
    expect(await answer).toEqual(plainly(409, "hash verification failed: artifact changed while hashing"));
    expect(await stateOf("growing")).toBe("unknown");
  });
});
