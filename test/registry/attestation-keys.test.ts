import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { signStatements } from "../../src/jobs/sign-statements.ts";
import { createLogger } from "../../src/log.ts";
import {
  type PublicAttestationKey,
  listAttestationKeys,
  prepareSigningKey,
  rotateSigningKey,
  tidySigningKeys,
} from "../../src/registry/attestation-keys.ts";
import { streamAudit } from "../../src/registry/read-audit.ts";
import { type Registry, openRegistry } from "../../src/services.ts";
import { openDataDirectory } from "../../src/storage/data-directory.ts";
import { callerWith } from "../support/callers.ts";
import { repository } from "../support/principal.ts";
import { isInRange, statementIn, verified, writtenStatements } from "../support/signed-statements.ts";
import { Transitions, digestIn, imageOf } from "../support/transitions.ts";

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const operator = callerWith(["operator@*"], { name: "operator" });
const AT = repository("models/m");
const MODEL = imageOf(["weights"]);

async function started(): Promise<Transitions> {
  const at = await Transitions.start();
  for (const content of ["{}", "weights"]) await at.blob(publisher, AT, content);
  await signStatements(at.services);
  return at;
}

const files = async (at: Transitions): Promise<string[]> => (await readdir(join(at.directory, "credentials"))).toSorted();

async function twoKeys({ services }: Transitions): Promise<readonly [PublicAttestationKey, PublicAttestationKey]> {
  const [old, now, ...more] = await listAttestationKeys(services);
  if (old === undefined || now === undefined || more.length > 0) throw new Error("there are not two keys");
  return [old, now];
}

const idsOf = async ({ services }: Transitions): Promise<string[]> => (await listAttestationKeys(services)).map(({ id }) => id);

describe("the first key", () => {
  test("is made once, encrypted, for its owner alone, and vouches for all that came before it", async () => {
    await using at = await started();
    const [file = "", ...more] = await files(at);
    expect([file, more]).toEqual([expect.stringMatching(/^attestation-key-/) as string, []]);
    const path = join(at.directory, "credentials", file);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readFile(path, "utf8")).toMatch(/^-----BEGIN ENCRYPTED PRIVATE KEY-----/);
    const [key] = await listAttestationKeys(at.services);
    expect(key).toMatchObject({ algorithm: "PKIX_ECDSA_P256_SHA_256", validFrom: 0, validUntil: null });
    await at.restart();
    expect([await files(at), await idsOf(at)]).toEqual([[file], [key?.id]]);
  });

  test("is named by a statement that it signs itself", async () => {
    await using at = await started();
    const [key] = await listAttestationKeys(at.services);
    const { statement } = verified(JSON.parse(key?.bundle ?? ""), key === undefined ? [] : [key]);
    expect(statement.predicateType).toBe("https://ai-model-registry.dev/attestations/signing-key/v1");
    expect(statement.predicate).toMatchObject({ seq: 1, prev: null, key: { id: key?.id, pem: key?.pem }, signedBy: key?.id });
    expect(Buffer.from(statement.subject[0]?.digest["sha256"] ?? "", "hex").toString("base64")).toBe(key?.id);
  });

  test("is one, however many workers make it at the same time", async () => {
    const directory = await mkdtemp(join(tmpdir(), "amr-first-key-"));
    const data = await openDataDirectory(directory);
    const open = (): Promise<Registry> => openRegistry(loadConfig({ REGISTRY_DIR: directory }), 8470, createLogger("silent"));
    const workers = await Promise.all([open(), open(), open()]);
    try {
      const known = await Promise.all(workers.map((services) => listAttestationKeys(services)));
      expect(new Set(known.map((each) => each.map(({ id }) => id).join(" "))).size).toBe(1);
      expect(known[0]).toHaveLength(1);
      expect(await readdir(join(directory, "credentials"))).toHaveLength(1);
      for (const services of workers) expect(await services.signing.open(known[0]?.[0]?.id ?? "")).toBeDefined();
    } finally {
      await Promise.all(workers.map((services) => services.close()));
      await data.release();
      await rm(directory, { recursive: true, force: true });
    }
  });
});

describe("rotation", () => {
  test("has the old key name the new one, which signs from then on, in every worker, and destroys the old one", async () => {
    await using at = await started();
    const other = await at.another();
    try {
      await at.manifest(publisher, AT, MODEL);
      await at.quarantine(publisher, AT, digestIn(MODEL));
      const [before] = await files(at);
      const rotated = await rotateSigningKey(at.services, operator, "yearly");
      expect(await files(at)).not.toContain(before);
      expect(await files(at)).toHaveLength(1);
      await Transitions.over(at.directory, other).promote(operator, AT, digestIn(MODEL));
      const links = await writtenStatements(at, AT, digestIn(MODEL));
      const signers = await Promise.all(links.map(async ({ bundle }) => (await statementIn(at, bundle)).key.id));
      const [first, second] = await listAttestationKeys(at.services);
      expect(signers).toEqual([first?.id, first?.id, rotated.id]);
      expect(second).toEqual(rotated);
      expect(first?.validUntil).toBe(rotated.validFrom);
      const { statement, key } = verified(JSON.parse(rotated.bundle), first === undefined ? [] : [first]);
      expect(key.id).toBe(first?.id);
      expect(statement.predicate).toMatchObject({
        seq: 2,
        actor: "operator",
        reason: "yearly",
        key: { id: rotated.id, pem: rotated.pem },
        signedBy: first?.id,
      });
      expect(isInRange(key, Date.parse(String(statement.predicate["effectiveAt"])))).toBe(true);
    } finally {
      await other.close();
    }
  });

  test("leaves every statement in the range of its key, also when transitions and rotations meet", async () => {
    await using at = await started();
    const models = ["a", "b", "c", "d"].map((layer) => imageOf(["weights"], { annotations: { layer } }));
    for (const model of models) await at.manifest(publisher, AT, model);
    const acts = models.map((model) => at.promote(operator, AT, digestIn(model)));
    const rotations = [rotateSigningKey(at.services, operator, null), rotateSigningKey(at.services, operator, null)];
    await Promise.all([...acts, ...rotations]);
    expect(await idsOf(at)).toHaveLength(3);
    for (const model of models) {
      // The first link is signed with the second, and counts when that does.
      const [first, second] = await Promise.all(
        (await writtenStatements(at, AT, digestIn(model))).map(({ bundle }) => statementIn(at, bundle)),
      );
      expect(first?.key.id).toBe(second?.key.id);
      expect(second && isInRange(second.key, Date.parse(String(second.statement.predicate["effectiveAt"])))).toBe(true);
    }
    expect(await files(at)).toHaveLength(1);
  });

  test("that comes between the decision and its commit has the new key sign: the old one signs nothing more", async () => {
    await using at = await started();
    await at.manifest(publisher, AT, MODEL);
    const { metadata } = at.services;
    let rotated: PublicAttestationKey | undefined;
    const overtaken: Registry["metadata"] = {
      get: (key) => metadata.get(key),
      list: (range) => metadata.list(range),
      close: () => metadata.close(),
      commit: async (change) => {
        rotated ??= await rotateSigningKey(at.services, operator, null);
        return metadata.commit(change);
      },
    };
    await at.through({ ...at.services, metadata: overtaken }).promote(operator, AT, digestIn(MODEL));
    const links = await writtenStatements(at, AT, digestIn(MODEL));
    const signers = await Promise.all(links.map(async ({ bundle }) => (await statementIn(at, bundle)).key.id));
    expect(signers).toEqual([rotated?.id, rotated?.id]);
  });

  test("is told by the audit, and its statements name each other", async () => {
    await using at = await started();
    await rotateSigningKey(at.services, operator, "one");
    await rotateSigningKey(at.services, operator, "two");
    const told: unknown[] = [];
    for await (const { event } of streamAudit(at.services, {})) {
      if (event.type.startsWith("signing-key.")) told.push([event.type, event.actor.principal, event.reason]);
    }
    expect(told).toEqual([
      ["signing-key.create", "system", undefined],
      ["signing-key.rotate", "operator", "one"],
      ["signing-key.rotate", "operator", "two"],
    ]);
    const known = await listAttestationKeys(at.services);
    const statements = known.map(({ bundle }) => verified(JSON.parse(bundle), known).statement.predicate);
    expect(statements.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(statements.map(({ signedBy }) => signedBy)).toEqual([known[0]?.id, known[0]?.id, known[1]?.id]);
    expect(statements.map(({ prev }) => prev !== null)).toEqual([false, true, true]);
  });

  test("waits until the statements of an earlier version are signed", async () => {
    await using at = await Transitions.start();
    for (const content of ["{}", "weights"]) await at.blob(publisher, AT, content);
    await at.manifest(publisher, AT, MODEL);
    await expect(rotateSigningKey(at.services, operator, null)).rejects.toMatchObject({ code: "CONFLICT" });
    await signStatements(at.services);
    expect(await rotateSigningKey(at.services, operator, null)).toMatchObject({ validUntil: null });
  });

  test("that cannot be committed leaves no key behind, and the old one signs on", async () => {
    await using at = await started();
    const before = [await files(at), await idsOf(at)];
    const { metadata } = at.services;
    const failing: Registry["metadata"] = {
      get: (key) => metadata.get(key),
      list: (range) => metadata.list(range),
      close: () => metadata.close(),
      commit: () => Promise.reject(new Error("the disk is full")),
    };
    await expect(rotateSigningKey({ ...at.services, metadata: failing }, operator, null)).rejects.toThrow("the disk is full");
    expect([await files(at), await idsOf(at)]).toEqual(before);
  });
});

describe("a start", () => {
  test("destroys keys that crashes left", async () => {
    await using at = await started();
    const [kept] = await files(at);
    await at.services.signing.make();
    expect(await files(at)).toHaveLength(2);
    await tidySigningKeys(at.services);
    expect(await files(at)).toEqual([kept]);
  });

  test("replaces a lost key by one that vouches for itself alone, and says so", async () => {
    await using at = await started();
    const [lost] = await listAttestationKeys(at.services);
    for (const file of await files(at)) await rm(join(at.directory, "credentials", file));
    await at.restart();
    const [old, fresh] = await twoKeys(at);
    expect([old.id, old.validUntil]).toEqual([lost?.id, fresh.validFrom]);
    expect(verified(JSON.parse(fresh.bundle), [fresh]).statement.predicate["signedBy"]).toBe(fresh.id);
    await at.manifest(publisher, AT, MODEL);
    await at.quarantine(publisher, AT, digestIn(MODEL));
    const links = await writtenStatements(at, AT, digestIn(MODEL));
    const signers = await Promise.all(links.map(async ({ bundle }) => (await statementIn(at, bundle)).key.id));
    expect(signers).toEqual([fresh.id, fresh.id]);
  });

  test("changes over to the key that the operator gives, which the old one names", async () => {
    await using at = await started();
    await using elsewhere = await started();
    const [theirs] = await listAttestationKeys(elsewhere.services);
    const given = await elsewhere.services.signing.open(theirs?.id ?? "");
    if (given === undefined) throw new Error("no key");
    const { signing } = at.services;
    const kept = { open: signing.open.bind(signing), destroy: signing.destroy.bind(signing) };
    const services: Registry = {
      ...at.services,
      signing: {
        given,
        open: async (id) => (id === given.keyId ? given : kept.open(id)),
        make: async () => given,
        destroy: kept.destroy,
        destroyAllBut: signing.destroyAllBut.bind(signing),
      },
    };
    await prepareSigningKey(services);
    await prepareSigningKey(services);
    const [old, now] = await twoKeys(at);
    expect(now.id).toBe(given.keyId);
    expect(verified(JSON.parse(now.bundle), [old]).statement.predicate["signedBy"]).toBe(old.id);
    expect(await files(at)).toEqual([]);
    await expect(rotateSigningKey(services, operator, null)).rejects.toMatchObject({ code: "CONFLICT" });
  });
});
