import { describe, expect, test } from "vitest";
import { statementConfig } from "../../src/lifecycle/statement.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { RegistryError } from "../../src/oci/errors.ts";
import { listArtifacts } from "../../src/registry/list-artifacts.ts";
import { listReferrers } from "../../src/registry/list-referrers.ts";
import { finishRevocationsEverywhere } from "../../src/registry/revoke-everywhere.ts";
import { findManifest, readerOf, serveBlob, serveManifest } from "../../src/registry/serving.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { statementRecord } from "../../src/storage/records.ts";
import { callerWith } from "../support/callers.ts";
import { repository } from "../support/principal.ts";
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

interface Written {
  readonly manifest: Digest;
  readonly payload: string;
  readonly digest: Digest;
}

async function written({ services: { metadata } }: Transitions): Promise<Written[]> {
  const rows = await metadata.list(under(keys.statements(AT, digestIn(MODEL)), 100));
  return rows.flatMap(({ value }) => {
    const { manifest, payload, digest } = statementRecord.parse(value);
    return manifest === null ? [] : [{ manifest, payload, digest }];
  });
}

describe("what a statement of the registry consists of", () => {
  test("nobody deletes, not even while its artifact was never trusted", async () => {
    await using at = await pushed();
    await at.quarantine(publisher, AT, digestIn(MODEL));
    for (const blob of [digestOf(statementConfig(AT)), ...(await written(at)).map(({ digest }) => digest)]) {
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
    expect((await serveBlob(at.services, READER, AT, promotion.digest)).serving.effect).toBe("allow");
  });
});

test("a look-alike that was pushed before the registry wrote the statement becomes that statement, once", async () => {
  await using twin = await pushed();
  await using at = await pushed();
  // The first link is known as soon as it is committed; its manifest is written with the second one.
  const first = await at.services.metadata.get(keys.statement(AT, digestIn(MODEL), 1));
  await twin.services.metadata.commit({
    expect: [],
    put: [{ key: keys.statement(AT, digestIn(MODEL), 1), value: first?.value }],
    remove: [],
    audit: [{ id: "1", time: 0, type: "test", actor: { principal: "test", kind: "system" }, outcome: "allow" }],
  });
  await twin.quarantine(publisher, AT, digestIn(MODEL));
  const [forecast] = await written(twin);
  const bytes = await twin.services.metadata.get(keys.manifestContent(AT, forecast?.manifest ?? digestIn(MODEL)));
  const forged = JSON.parse(Buffer.from(bytes?.value as Uint8Array).toString("utf8")) as object;
  expect(await at.manifest(publisher, AT, forged, "forged")).toBe(forecast?.manifest);

  await at.quarantine(publisher, AT, digestIn(MODEL));
  expect((await written(at))[0]?.manifest).toBe(forecast?.manifest);
  const page = { n: 100, last: undefined };
  const { referrers } = await listReferrers(at.services, publisher, {
    repository: AT,
    subject: digestIn(MODEL),
    artifactType: undefined,
    page,
  });
  expect(referrers.map(({ digest }) => digest).toSorted()).toEqual((await written(at)).map(({ manifest }) => manifest).toSorted());
  const query = { repository: AT, state: undefined, cursor: undefined, limit: 100 };
  expect((await listArtifacts(at.services, publisher, query)).artifacts.map(({ digest }) => digest)).toEqual([digestIn(MODEL)]);
  await expect(at.delete(operator, AT, forecast?.manifest ?? digestIn(MODEL))).rejects.toBeInstanceOf(RegistryError);
});
