import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Digest } from "../../src/oci/digest.ts";
import { deleteArtifact } from "../../src/registry/delete-artifact.ts";
import { findContent } from "../../src/registry/find-artifact.ts";
import { mountBlob } from "../../src/registry/mount-blob.ts";
import type { Caller } from "../../src/registry/ports.ts";
import { callerWith } from "../support/callers.ts";
import { repository } from "../support/principal.ts";
import { Transitions, imageOf } from "../support/transitions.ts";

const alice = callerWith(["publisher@models"], { name: "alice" });
const mallory = callerWith(["publisher@models"], { name: "mallory" });
const robot = callerWith(["publisher@models"], { name: "robot", countsAs: "alice" });
const mona = callerWith(["maintainer@models"], { name: "mona" });
const operator = callerWith(["operator@*"], { name: "operator" });

let at: Transitions;
let places = 0;
beforeAll(async () => {
  at = await Transitions.start();
});
afterAll(() => at[Symbol.asyncDispose]());

const MODEL = imageOf(["weights"]);

/** A repository in which Alice has pushed the model. */
async function pushed(): Promise<{ readonly place: string; readonly digest: Digest }> {
  places += 1;
  const place = `models/m${places}`;
  for (const content of ["{}", "weights"]) await at.blob(alice, place, content);
  return { place, digest: await at.manifest(alice, place, MODEL, "v1") };
}

const DOORS = {
  "the native API": (caller: Caller, place: string, digest: Digest) => at.delete(caller, place, digest),
  "DELETE on /v2": async (caller: Caller, place: string, digest: Digest) =>
    deleteArtifact(at.services, caller, await findContent(at.services, caller, repository(place), digest), null),
} as const;

describe.each(Object.entries(DOORS))("by %s", (_, remove) => {
  test("a publisher deletes what it pushed first", async () => {
    const { place, digest } = await pushed();
    expect((await remove(alice, place, digest)).state).toBe("deleted");
  });

  test("pushing the bytes of somebody else's artifact again makes nobody its owner", async () => {
    const { place, digest } = await pushed();
    for (const content of ["{}", "weights"]) await at.blob(mallory, place, content);
    expect(await at.manifest(mallory, place, MODEL, "mine")).toBe(digest);
    await expect(remove(mallory, place, digest)).rejects.toMatchObject({ code: "DENIED" });
    expect((await at.find(alice, place, digest)).record.state).toBe("acquired");
    // It counts for the separation of duties all the same.
    expect((await at.find(alice, place, digest)).record.uploaders).toEqual(["alice", "mallory"]);
    expect((await remove(alice, place, digest)).state).toBe("deleted");
  });

  test("what counts as one person for duties is not its owner's to delete", async () => {
    const { place, digest } = await pushed();
    await expect(remove(robot, place, digest)).rejects.toMatchObject({ code: "DENIED" });
  });

  test("a new generation belongs to whoever pushed it", async () => {
    const { place, digest } = await pushed();
    await remove(mona, place, digest);
    await at.manifest(mallory, place, MODEL);
    await expect(remove(alice, place, digest)).rejects.toMatchObject({ code: "DENIED" });
    expect((await remove(mallory, place, digest)).state).toBe("deleted");
  });

  test("a maintainer deletes anybody's, and what was trusted only who has delete:any", async () => {
    const { place, digest } = await pushed();
    await at.promote(operator, place, digest);
    await expect(remove(mona, place, digest)).rejects.toMatchObject({ code: "DENIED" });
    expect((await remove(operator, place, digest)).state).toBe("deleted");
  });
});

test("a blob that somebody uploads or mounts again stays its first owner's", async () => {
  const [{ place }, other] = [await pushed(), await pushed()];
  const digest = await at.blob(alice, place, "stray");
  await at.blob(mallory, other.place, "stray");
  await at.blob(mallory, place, "stray");
  expect(await mountBlob(at.services, mallory, { repository: repository(place), digest, from: other.place })).toBe(true);
  await expect(at.deleteBlob(mallory, place, digest)).rejects.toMatchObject({ code: "DENIED" });
  await at.deleteBlob(alice, place, digest);
});
