import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { registryJobs } from "../../src/jobs/registry-jobs.ts";
import { type Scheduler, startScheduler } from "../../src/jobs/scheduler.ts";
import { PRINCIPALS, placeOf, startScenes } from "../support/gate-scenes.ts";
import { type GateWorld, TOKEN } from "../support/gate-world.ts";
import { DEFINITIONS } from "../support/lifecycle-acts.ts";

let world: GateWorld;
let scheduler: Scheduler;
beforeAll(async () => {
  world = await startScenes();
  const { services } = world.registry;
  const times = { collectInterval: 1e9, uploadExpiry: 1e9, verifyInterval: 0, verifyRate: 0 };
  const jobs = registryJobs(services, times).filter(({ name }) => name === "verify-all");
  scheduler = startScheduler(services, jobs);
}, 120_000);
afterAll(async () => {
  await scheduler.stop();
  await world[Symbol.asyncDispose]();
});

const NOT_TRUSTED = [
  "never pushed",
  "acquired",
  "quarantined",
  "revoked and never trusted",
  "revoked out of quarantine",
  "deleted after trust",
  "deleted and never trusted",
  "deleted and pushed again",
  "revoked after trust",
  "permanently revoked",
] as const;

async function located(name: string, of: string): Promise<number> {
  return (await world.ask(world.authorization(name), `/v1/model/path?name=${encodeURIComponent(of)}`)).status;
}

function namesIn(text: string): string[] {
  return [...text.matchAll(/"name":"([^"]*)"/g)].map(([, name = ""]) => name).toSorted();
}

describe("protocol.md §9, by the predecessor's doors:", () => {
  test("row 20: the path of an artifact is told of what readers are served as files, and of nothing else to anybody", async () => {
    for (const scene of NOT_TRUSTED) {
      const of = `${placeOf(scene)}@${DEFINITIONS.ONE.digest}`;
      // Who sees the record is told that it is not trusted, and everybody else that there is none.
      for (const name of ["operator", "reviewer", "producer", "scanner"]) {
        expect({ scene, name, is: await located(name, of) }).toEqual({ scene, name, is: scene === "never pushed" ? 404 : 403 });
      }
      for (const name of ["anonymous", "stranger", "outsider"]) expect(await located(name, of)).toBe(404);
    }
    expect(await located("runner", `${placeOf("trusted")}:one`)).toBe(200);
    expect(await located("anonymous", `${placeOf("trusted")}:one`)).toBe(404);
    expect(await located("anonymous", "registered: trusted")).toBe(200);
    expect(await located("anonymous", "registered: acquired")).toBe(403);
  });

  test("row 20: a check of all bytes tells each of what it sees, and of nothing else", async () => {
    for (const name of [...PRINCIPALS.map((principal) => principal.name), TOKEN]) {
      const authorization = world.authorization(name);
      const all = await world.ask(authorization, "/v1/models/verify-all", { method: "POST" });
      const may = ["anonymous", "scanner", "auditor", "operator", TOKEN].includes(name);
      expect({ name, status: all.status }).toEqual({ name, status: may ? 200 : 403 });
      const seen = may ? namesIn((await world.ask(authorization, "/v1/models")).body.toString("utf8")) : [];
      expect({ name, names: namesIn(all.body.toString("utf8")) }).toEqual({ name, names: seen });
    }
  });
});
