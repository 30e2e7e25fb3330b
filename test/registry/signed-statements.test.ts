import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { preAuthEncoding } from "../../src/lifecycle/dsse.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { listAttestationKeys } from "../../src/registry/attestation-keys.ts";
import { liftedSummaries } from "../../src/registry/lifted-summaries.ts";
import { listReferrers } from "../../src/registry/list-referrers.ts";
import { findManifest, readerOf, serveBlob, serveManifest } from "../../src/registry/serving.ts";
import { SigningError, type SigningKeys } from "../../src/storage/signing-keys.ts";
import { callerWith } from "../support/callers.ts";
import { faultsOf } from "../support/invariants.ts";
import { repository } from "../support/principal.ts";
import { bundleIn, isInRange, statementIn, verified, writtenStatements } from "../support/signed-statements.ts";
import { Transitions, digestIn, imageOf } from "../support/transitions.ts";

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const operator = callerWith(["operator@*"], { name: "operator" });
const reader = callerWith(["reader@*"], { name: "reader" });
const AT = repository("models/m");
const MODEL = imageOf(["weights"]);
const IT = digestIn(MODEL);
const VSA = "https://slsa.dev/verification_summary/v1";
const LIFECYCLE = "https://ai-model-registry.dev/attestations/lifecycle/v1";

async function pushed(): Promise<Transitions> {
  const at = await Transitions.start();
  for (const content of ["{}", "weights"]) await at.blob(publisher, AT, content);
  await at.manifest(publisher, AT, MODEL);
  return at;
}

/** A tool that npm does not bring; where it is missing, the same is done by hand. */
const TOOL = "openssl";

function openssl(args: readonly string[]): boolean {
  return spawnSync(TOOL, args, { stdio: "ignore" }).status === 0;
}

const HAS_OPENSSL = openssl(["version"]);

interface Listed {
  readonly digest: Digest;
  readonly predicate: string | undefined;
  readonly result: string | undefined;
}

async function listed(at: Transitions, caller = operator): Promise<readonly Listed[]> {
  const page = { n: 100, last: undefined };
  const { referrers } = await listReferrers(at.services, caller, { repository: AT, subject: IT, artifactType: undefined, page });
  return referrers.map(({ digest, annotations = {} }) => ({
    digest,
    predicate: annotations["dev.sigstore.bundle.predicateType"],
    result: annotations["dev.ai-model-registry.verification.result"],
  }));
}

const results = async (at: Transitions): Promise<string[]> =>
  (await listed(at))
    .filter(({ predicate }) => predicate === VSA)
    .map(({ result = "none" }) => result)
    .toSorted();

describe("the statements of a life", () => {
  test("are all signed by a key of the registry, chained by payload, about the artifact under both of its digests", async () => {
    await using at = await pushed();
    await at.quarantine(publisher, AT, IT);
    await at.promote(operator, AT, IT);
    await at.revoke(operator, AT, IT);
    await at.promote(operator, AT, IT);
    await at.delete(operator, AT, IT);
    const links = await writtenStatements(at, AT, IT);
    expect(links.map(({ state }) => state)).toEqual(["acquired", "quarantined", "trusted", "revoked", "trusted", "deleted"]);
    let previous: string | null = null;
    for (const link of links) {
      const { statement, key } = await statementIn(at, link.bundle);
      expect(statement.predicateType).toBe(LIFECYCLE);
      expect(statement.subject).toEqual([
        {
          name: expect.stringMatching(/\/models\/m$/) as string,
          digest: { sha256: IT.slice(7), sha512: createHash("sha512").update(JSON.stringify(MODEL)).digest("hex") },
        },
      ]);
      expect(statement.predicate).toMatchObject({ seq: link.sequence, state: link.state });
      expect((statement.predicate["prev"] as { sha256: string } | null)?.sha256 ?? null).toBe(previous);
      expect(isInRange(key, Date.parse(String(statement.predicate["effectiveAt"])))).toBe(true);
      previous = createHash("sha256").update(link.payload).digest("hex");
    }
    expect(await faultsOf(at.services.metadata, AT, at.directory)).toEqual([]);
  });

  test.skipIf(!HAS_OPENSSL)("are verified by openssl from nothing but the key's PEM and the bundle", async () => {
    await using at = await pushed();
    await at.promote(operator, AT, IT);
    const folder = await mkdtemp(join(tmpdir(), "amr-openssl-"));
    try {
      const [key] = await listAttestationKeys(at.services);
      const paths = ["key.pem", "signature", "encoded"].map((name) => join(folder, name));
      const [pem = "", signature = "", encoded = ""] = paths;
      await writeFile(pem, key?.pem ?? "");
      for (const { bundle } of await writtenStatements(at, AT, IT)) {
        const { dsseEnvelope } = (await bundleIn(at, bundle)) as {
          dsseEnvelope: { payload: string; signatures: { sig: string; keyid?: string }[] };
        };
        expect(dsseEnvelope.signatures).toEqual([{ sig: expect.any(String) as string }]);
        await writeFile(signature, Buffer.from(dsseEnvelope.signatures[0]?.sig ?? "", "base64"));
        await writeFile(encoded, preAuthEncoding(Buffer.from(dsseEnvelope.payload, "base64").toString("utf8")));
        expect(openssl(["dgst", "-sha256", "-verify", pem, "-signature", signature, encoded])).toBe(true);
        await writeFile(encoded, preAuthEncoding("another statement"));
        expect(openssl(["dgst", "-sha256", "-verify", pem, "-signature", signature, encoded])).toBe(false);
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test("do not verify when anything of them is changed, nor under another registry's key", async () => {
    await using at = await pushed();
    await using other = await pushed();
    await at.promote(operator, AT, IT);
    const [, promotion] = await writtenStatements(at, AT, IT);
    const bundle = (await bundleIn(at, promotion?.bundle ?? IT)) as { dsseEnvelope: { payload: string; payloadType: string } };
    const known = await listAttestationKeys(at.services);
    expect(verified(bundle, known).statement.predicate["state"]).toBe("trusted");
    const payload = Buffer.from(bundle.dsseEnvelope.payload, "base64").toString("utf8").replace('"trusted"', '"revoked"');
    const forged = { ...bundle, dsseEnvelope: { ...bundle.dsseEnvelope, payload: Buffer.from(payload).toString("base64") } };
    expect(() => verified(forged, known)).toThrow("signature verification failed");
    expect(() => verified({ ...bundle, dsseEnvelope: { ...bundle.dsseEnvelope, payloadType: "text/plain" } }, known)).toThrow(
      "signature verification failed",
    );
    const theirs = (await listAttestationKeys(other.services)).map((key) => ({ ...key, id: known[0]?.id ?? "" }));
    expect(() => verified(bundle, theirs)).toThrow("signature verification failed");
  });

  test("begin with the second transition: a push writes what was pushed, and its link unsigned", async () => {
    await using at = await pushed();
    expect(await listed(at)).toEqual([]);
    expect(await writtenStatements(at, AT, IT)).toEqual([]);
    await at.quarantine(publisher, AT, IT);
    expect((await writtenStatements(at, AT, IT)).map(({ state }) => state)).toEqual(["acquired", "quarantined"]);
  });
});

const NONE = { manifest: IT, bundle: IT };

async function expectSummary(
  at: Transitions,
  summary: typeof NONE,
  { result, level }: { readonly result: string; readonly level: string },
): Promise<void> {
  const { statement } = await statementIn(at, summary.bundle);
  const { publicUrl } = at.services.settings;
  expect(statement.predicateType).toBe(VSA);
  expect(statement.subject[0]?.digest["sha256"]).toBe(IT.slice(7));
  expect(statement.predicate).toMatchObject({
    verifier: { id: publicUrl },
    resourceUri: `oci://${publicUrl.replace(/^https?:\/\//, "")}/models/m@${IT}`,
    policy: { uri: expect.any(String) as string },
    verificationResult: result,
    verifiedLevels: [level],
  });
  const found = await findManifest(at.services, AT, summary.manifest);
  const rights = readerOf(new Set(["pull"] as const));
  expect((await serveManifest(at.services, rights, AT, found?.record)).effect).toBe("allow");
  expect((await serveBlob(at.services, rights, AT, summary.bundle)).serving.effect).toBe("allow");
}

describe("verification summaries", () => {
  test("say PASSED of a promotion and FAILED of a revocation, about the same subject, and are served like statements", async () => {
    await using at = await pushed();
    await at.promote(operator, AT, IT, { reason: "fine" });
    await at.revoke(operator, AT, IT);
    const [, promoted, revoked] = await writtenStatements(at, AT, IT);
    expect(await listed(at, reader)).toHaveLength(5);
    await expectSummary(at, promoted?.summary ?? NONE, { result: "PASSED", level: "AI_MODEL_REGISTRY_TRUSTED" });
    await expectSummary(at, revoked?.summary ?? NONE, { result: "FAILED", level: "FAILED" });
  });

  test("of a lifted revocation are listed no more, though whoever knows the digest still reads them", async () => {
    await using at = await pushed();
    await at.promote(operator, AT, IT);
    await at.revoke(operator, AT, IT);
    expect(await results(at)).toEqual(["FAILED", "PASSED"]);
    await at.promote(operator, AT, IT);
    expect(await results(at)).toEqual(["PASSED", "PASSED"]);
    const lifted = (await writtenStatements(at, AT, IT)).find(({ state }) => state === "revoked");
    const found = await findManifest(at.services, AT, lifted?.summary?.manifest ?? IT);
    const rights = readerOf(new Set(["pull"] as const));
    expect((await serveManifest(at.services, rights, AT, found?.record)).effect).toBe("allow");
    expect((await statementIn(at, lifted?.summary?.bundle ?? IT)).statement.predicate["verificationResult"]).toBe("FAILED");
    // The revocation itself stays part of the history that everybody sees.
    expect((await listed(at, reader)).map(({ digest }) => digest)).toContain(lifted?.manifest);
    await at.revoke(operator, AT, IT);
    expect(await results(at)).toEqual(["FAILED", "PASSED", "PASSED"]);
    expect(await faultsOf(at.services.metadata, AT, at.directory)).toEqual([]);
  });

  test("of a permanent revocation are listed for ever, also when the artifact is deleted and pushed again", async () => {
    await using at = await pushed();
    await at.promote(operator, AT, IT);
    await at.revoke(operator, AT, IT);
    expect(await liftedSummaries(at.services, AT, IT)).not.toEqual([]);
    await at.promote(operator, AT, IT);
    await at.revoke(operator, AT, IT, { permanent: true });
    const [, , , , barred] = await writtenStatements(at, AT, IT);
    expect((await liftedSummaries(at.services, AT, IT)).map((key) => key.at(-1))).not.toContain(barred?.summary?.manifest);
    await expect(at.promote(operator, AT, IT)).rejects.toMatchObject({ code: "CONFLICT" });
    expect(await results(at)).toEqual(["FAILED", "PASSED", "PASSED"]);
    await at.delete(operator, AT, IT);
    await at.blob(publisher, AT, "weights");
    await at.manifest(publisher, AT, MODEL);
    await expect(at.promote(operator, AT, IT)).rejects.toMatchObject({ code: "CONFLICT" });
    expect(await results(at)).toEqual(["FAILED", "PASSED", "PASSED"]);
  });
});

function withBrokenKeys({ services: { signing } }: Transitions): SigningKeys {
  return { ...signing, open: () => Promise.reject(new SigningError("the card is out")) };
}

function withoutKeys({ services: { signing } }: Transitions): SigningKeys {
  return { ...signing, open: async () => undefined };
}

describe("when statements cannot be signed", () => {
  test.each(["quarantine", "promote", "revoke", "delete"] as const)(
    "%s is refused as unavailable, and nothing is changed",
    async (event) => {
      await using at = await pushed();
      if (event === "revoke") await at.promote(operator, AT, IT);
      const failing = at.through({ ...at.services, signing: withBrokenKeys(at) });
      const everything = { start: ["a"], end: ["z"], limit: 1_000_000 } as const;
      const before = await at.services.metadata.list(everything);
      const caller = event === "quarantine" ? publisher : operator;
      const asked = event === "promote" ? failing.promote(caller, AT, IT) : failing[event](caller, AT, IT);
      await expect(asked).rejects.toMatchObject({
        code: "UNAVAILABLE",
        message: expect.stringContaining("nothing was changed") as string,
      });
      expect(await at.services.metadata.list(everything)).toEqual(before);
      await at[event](caller, AT, IT);
      expect(await faultsOf(at.services.metadata, AT, at.directory)).toEqual([]);
    },
  );

  test("pushes go on", async () => {
    await using at = await pushed();
    const failing = at.through({ ...at.services, signing: withoutKeys(at) });
    await failing.blob(publisher, AT, "other");
    await failing.manifest(publisher, AT, imageOf(["other"]));
    await expect(failing.quarantine(publisher, AT, IT)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
});
