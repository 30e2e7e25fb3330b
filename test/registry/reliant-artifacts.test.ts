import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { identitiesOf, signerHash, signerRows } from "../../src/registry/decision-rows.ts";
import { type ReliantPlace, reliantOn } from "../../src/registry/reliant-artifacts.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";
import type { RevokedAuthority } from "../../src/trust/revoked-authority.ts";
import { repository } from "../support/principal.ts";
import { putRows } from "../support/rows.ts";
import { temporaryMetadata } from "../support/temporary-metadata.ts";

const ISSUER = "https://issuer.example";
/** More signers than are read at once. */
const MANY = 300;
const EACH = 2;
const GLOB: RevokedAuthority = { type: "identity", issuer: { exact: ISSUER }, subject: { glob: "ml/*" } };

const identity = (subject: string, issuer = ISSUER) => ({ type: "identity", issuer, subject }) as const;
const artifact = (name: string, at: number) => digestOf(`${name} ${at}`);

/** Signers whom a pattern covers, each of two artifacts, and others. */
async function filled(metadata: MetadataStore): Promise<void> {
  const covered = Array.from({ length: MANY }, (_, at) => identity(`ml/${at}`));
  for (const signer of [...covered, identity("ops/1"), identity("ml/1", "https://other.example")]) {
    const rows = Array.from({ length: EACH }, (_, at) => signerRows(repository(`models/m${at}`), artifact(signer.subject, at), [signer]));
    await putRows(metadata, rows.flat());
  }
}

async function walk(metadata: MetadataStore, authority: RevokedAuthority, after: ReliantPlace | null = null): Promise<ReliantPlace[]> {
  const places: ReliantPlace[] = [];
  for await (const place of reliantOn({ metadata }, authority, { after, signal: undefined })) places.push(place);
  return places;
}

describe("the artifacts that rest on an authority", () => {
  test("are those of all signers whom a pattern covers, and a walk goes on after any of them", async () => {
    await using at = await temporaryMetadata();
    await filled(at.metadata);
    const all = await walk(at.metadata, GLOB);
    const expected = Array.from({ length: MANY }, (_, signer) =>
      Array.from({ length: EACH }, (__, each) => [signerHash(identity(`ml/${signer}`)), `models/m${each}`, artifact(`ml/${signer}`, each)]),
    );
    expect(all.map((place) => place.join(" ")).toSorted()).toEqual(
      expected
        .flat()
        .map((place) => place.join(" "))
        .toSorted(),
    );
    for (const place of [0, 1, 2, 255, 256, 511, 512, 513, all.length - 2, all.length - 1])
      expect(await walk(at.metadata, GLOB, all[place])).toEqual(all.slice(place + 1));
  });

  test("are found by a key as well that is in a certificate below a pinned root, and by none that signs once", async () => {
    await using at = await temporaryMetadata();
    const [key, once] = [digestOf("key"), digestOf("once")];
    const holder = { type: "certificate", subject: "CN=release", root: digestOf("root") } as const;
    const signers = [
      { signer: holder, key },
      { signer: identity("ml/1"), key: once },
    ].flatMap(identitiesOf);
    await putRows(at.metadata, signerRows(repository("models/m"), artifact("held", 0), signers));
    const found = async (fingerprint: typeof key): Promise<number> => (await walk(at.metadata, { type: "key", fingerprint })).length;
    expect([await found(key), await found(once)]).toEqual([1, 0]);
    expect(await walk(at.metadata, { type: "certificate", root: holder.root, subject: { exact: "CN=release" } })).toHaveLength(1);
    const below = { signer: { ...holder, root: digestOf("intermediate") }, key };
    await putRows(at.metadata, signerRows(repository("models/m"), artifact("also", 0), identitiesOf(below)));
    expect(await walk(at.metadata, { type: "certificate", subject: { exact: "CN=release" } })).toHaveLength(2);
  });

  test("are found by one signer's rows alone where it is one", async () => {
    await using at = await temporaryMetadata();
    await filled(at.metadata);
    const one: RevokedAuthority = { ...GLOB, subject: { exact: "ml/7" } };
    const places = await walk(at.metadata, one);
    expect(places.map(([, name, digest]) => [name, digest])).toEqual([
      ["models/m0", artifact("ml/7", 0)],
      ["models/m1", artifact("ml/7", 1)],
    ]);
    expect(await walk(at.metadata, one, places[0])).toEqual(places.slice(1));
    expect(await walk(at.metadata, { ...one, issuer: { exact: "https://nobody.example" } })).toEqual([]);
  });
});
