import { describe, expect, test } from "vitest";
import { statementConfig } from "../../src/lifecycle/statement.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { RegistryError } from "../../src/oci/errors.ts";
import { listArtifacts } from "../../src/registry/list-artifacts.ts";
import { listReferrers } from "../../src/registry/list-referrers.ts";
import { finishRevocationsEverywhere } from "../../src/registry/revoke-everywhere.ts";
import { findManifest, readerOf, serveBlob, serveManifest } from "../../src/registry/serving.ts";
import { keys } from "../../src/storage/keys.ts";
import { callerWith } from "../support/callers.ts";
import { repository } from "../support/principal.ts";
import { type WrittenStatement, writtenStatements } from "../support/signed-statements.ts";
import { Transitions, digestIn, imageOf } from "../support/transitions.ts";

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const maintainer = callerWith(["maintainer@models"], { name: "maintainer" });
const operator = callerWith(["operator@*"], { name: "operator" });
const READER = readerOf(new Set(["pull"] as const));
const AT = repository("models/m");
const MODEL = imageOf(["weights"]);

async function pushed(): Promise<Transitions> {
  const at = await Transitions.start();
  for (const content of ["{}", "weights"]) await at.blob(publisher, AT, content);
  await at.manifest(publisher, AT, MODEL);
  return at;
}

const written = (at: Transitions): Promise<readonly WrittenStatement[]> => writtenStatements(at, AT, digestIn(MODEL));

describe("what a statement of the registry consists of", () => {
  test("nobody deletes, not even while its artifact was never trusted", async () => {
    await using at = await pushed();
    await at.quarantine(publisher, AT, digestIn(MODEL));
    for (const blob of [digestOf(statementConfig(AT)), ...(await written(at)).map(({ bundle }) => bundle)]) {
      for (const caller of [publisher, maintainer, operator]) {
        await expect(at.deleteBlob(caller, AT, blob)).rejects.toMatchObject({ code: "DENIED" });
      }
    }
  });

  test("belongs to the registry though somebody uploaded the same bytes before", async () => {
    await using at = await pushed();
    await at.blob(maintainer, AT, new TextDecoder().decode(statementConfig(AT)));
    await at.quarantine(publisher, AT, digestIn(MODEL));
    await expect(at.deleteBlob(maintainer, AT, digestOf(statementConfig(AT)))).rejects.toMatchObject({ code: "DENIED" });
  });

  test("stays readable when a copy of it is revoked everywhere", async () => {
    await using at = await pushed();
    await at.promote(operator, AT, digestIn(MODEL));
    const [, promotion] = await written(at);
    if (promotion === undefined) throw new Error("no statement was written");
    const content = await at.services.metadata.get(keys.manifestContent(AT, promotion.manifest));
    const copy = JSON.parse(Buffer.from(content?.value as Uint8Array).toString("utf8")) as object;
    expect(await at.manifest(publisher, "models/copy", copy)).toBe(promotion.manifest);
    await at.revoke(operator, "models/copy", promotion.manifest, { everywhere: true });
    await finishRevocationsEverywhere(at.services);
    const found = await findManifest(at.services, AT, promotion.manifest);
    expect(found?.record).toMatchObject({ statement: true, state: "acquired" });
    expect((await serveManifest(at.services, READER, AT, found?.record)).effect).toBe("allow");
    expect((await serveBlob(at.services, READER, AT, promotion.bundle)).serving.effect).toBe("allow");
  });
});

async function listed(at: Transitions): Promise<readonly Digest[]> {
  const query = { repository: AT, subject: digestIn(MODEL), artifactType: undefined, page: { n: 100, last: undefined } };
  return (await listReferrers(at.services, publisher, query)).referrers.map(({ digest }) => digest);
}

test("a look-alike has no authority: it is an artifact like any other, listed after the registry's own and deleted by who pushed it", async () => {
  await using at = await pushed();
  await at.promote(operator, AT, digestIn(MODEL));
  const [, promotion] = await written(at);
  const content = await at.services.metadata.get(keys.manifestContent(AT, promotion?.manifest ?? digestIn(MODEL)));
  const genuine = JSON.parse(Buffer.from(content?.value as Uint8Array).toString("utf8")) as { annotations: Record<string, string> };
  const own = await listed(at);
  const forged = { ...genuine, annotations: { ...genuine.annotations, "dev.ai-model-registry.lifecycle.state": "revoked" } };
  const digest = await at.manifest(publisher, AT, forged);
  expect((await findManifest(at.services, AT, digest))?.record).toMatchObject({ statement: false, state: "acquired" });
  expect((await findManifest(at.services, AT, digestIn(MODEL)))?.record.state).toBe("trusted");
  expect(await listed(at)).toEqual([...own, digest]);
  // The bytes of a statement that there is are that statement, whoever pushes them.
  expect(await at.manifest(publisher, AT, genuine, "mine")).toBe(promotion?.manifest);
  await expect(at.delete(operator, AT, promotion?.manifest ?? digest)).rejects.toBeInstanceOf(RegistryError);
  const query = { repository: AT, state: undefined, cursor: undefined, limit: 100 };
  expect((await listArtifacts(at.services, publisher, query)).artifacts.map((each) => each.digest).toSorted()).toEqual(
    [digestIn(MODEL), digest].toSorted(),
  );
  expect((await at.delete(publisher, AT, digest)).state).toBe("deleted");
});
