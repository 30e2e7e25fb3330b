import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { signStatements } from "../../src/jobs/sign-statements.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { RegistryError } from "../../src/oci/errors.ts";
import { listReferrers } from "../../src/registry/list-referrers.ts";
import { streamAudit } from "../../src/registry/read-audit.ts";
import { findManifest, readerOf, serveBlob, serveManifest } from "../../src/registry/serving.ts";
import { linkAt, signUnsigned } from "../../src/registry/sign-unsigned.ts";
import { mayHaveUnsigned } from "../../src/registry/unsigned-statements.ts";
import { keys, under } from "../../src/storage/keys.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";
import { statementRecord } from "../../src/storage/records.ts";
import { callerWith } from "../support/callers.ts";
import { faultsOf } from "../support/invariants.ts";
import { repository } from "../support/principal.ts";
import { statementIn, writtenStatements } from "../support/signed-statements.ts";
import { Transitions, digestIn, imageOf } from "../support/transitions.ts";
import { unsign } from "../support/unsigned-statements.ts";

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const operator = callerWith(["operator@*"], { name: "operator" });
const reader = callerWith(["reader@*"], { name: "reader" });
const AT = repository("models/m");
const READER = readerOf(new Set(["pull"] as const));
const VSA = "https://slsa.dev/verification_summary/v1";

/** One of each fate. */
const [TRUSTED, LIFTED, BARRED, HELD] = ["trusted", "lifted", "barred", "held"].map((layer) => imageOf([layer])) as [
  object,
  object,
  object,
  object,
];

/** A store as the version before signatures left it. */
async function old(): Promise<Transitions> {
  const at = await Transitions.start();
  await at.blob(publisher, AT, "{}");
  for (const [layer, manifest] of Object.entries({ trusted: TRUSTED, lifted: LIFTED, barred: BARRED, held: HELD })) {
    await at.blob(publisher, AT, layer);
    await at.manifest(publisher, AT, manifest);
  }
  await at.promote(operator, AT, digestIn(TRUSTED));
  await at.promote(operator, AT, digestIn(LIFTED));
  await at.revoke(operator, AT, digestIn(LIFTED));
  await at.promote(operator, AT, digestIn(LIFTED));
  await at.promote(operator, AT, digestIn(BARRED));
  await at.revoke(operator, AT, digestIn(BARRED), { permanent: true });
  await at.quarantine(publisher, AT, digestIn(HELD));
  for (const manifest of [TRUSTED, LIFTED, BARRED, HELD]) await unsign(at, AT, digestIn(manifest));
  return at;
}

async function listed(at: Transitions, artifact: Digest): Promise<{ digest: Digest; type: string; about: string | undefined }[]> {
  const page = { n: 100, last: undefined };
  const query = { repository: AT, subject: artifact, artifactType: undefined, page };
  const { referrers } = await listReferrers(at.services, reader, query);
  return referrers.map(({ digest, artifactType = "", annotations = {} }) => ({
    digest,
    type: artifactType,
    about: annotations["dev.ai-model-registry.lifecycle.state"] ?? annotations["dev.ai-model-registry.verification.result"],
  }));
}

const about = async (at: Transitions, artifact: object): Promise<string> =>
  (await listed(at, digestIn(artifact)))
    .map((each) => each.about ?? "")
    .toSorted()
    .join(" ");

describe("a store of the version before signatures", () => {
  test("is as that version wrote it", async () => {
    await using at = await old();
    const unsigned = await listed(at, digestIn(LIFTED));
    expect(new Set(unsigned.map(({ type }) => type))).toEqual(new Set(["application/vnd.ai-model-registry.lifecycle.v1+json"]));
    expect(await about(at, LIFTED)).toBe("acquired revoked trusted trusted");
    expect(await mayHaveUnsigned(at.services)).toBe(true);
  });

  test("has one listed manifest a link afterwards, signed, with the summaries that it would have had", async () => {
    await using at = await old();
    // Acquired and promoted, with a revocation and a second promotion for one of them, and one that is held.
    expect(await signStatements(at.services)).toBe(2 + 4 + 3 + 2);
    expect(await about(at, TRUSTED)).toBe("PASSED acquired trusted");
    expect(await about(at, LIFTED)).toBe("PASSED PASSED acquired revoked trusted trusted");
    expect(await about(at, BARRED)).toBe("FAILED PASSED acquired revoked trusted");
    expect(await about(at, HELD)).toBe("");
    for (const artifact of [TRUSTED, LIFTED, BARRED, HELD]) {
      const links = await writtenStatements(at, AT, digestIn(artifact));
      for (const { bundle, payload } of links) expect((await statementIn(at, bundle)).statement).toEqual(JSON.parse(payload));
      for (const { bundle } of links.flatMap(({ summary }) => summary ?? [])) {
        expect((await statementIn(at, bundle)).statement.predicateType).toBe(VSA);
      }
    }
    expect(await faultsOf(at.services.metadata, AT, at.directory)).toEqual([]);
  });

  test("keeps the unsigned manifests for who knows their digests, before and after the next transition", async () => {
    await using at = await old();
    const before = await listed(at, digestIn(TRUSTED));
    await signStatements(at.services);
    const readable = async (): Promise<void> => {
      for (const { digest } of before) {
        const found = await findManifest(at.services, AT, digest);
        expect((await serveManifest(at.services, READER, AT, found?.record)).effect).toBe("allow");
      }
      for (const { value } of await at.services.metadata.list(under(keys.statements(AT, digestIn(TRUSTED)), 10))) {
        const { unsigned, digest } = statementRecord.parse(value);
        const { serving } = await serveBlob(at.services, READER, AT, digest);
        // The payload is a blob where it was one.
        expect(serving.effect).toBe(unsigned === undefined ? "absent" : "allow");
      }
    };
    await readable();
    await at.revoke(operator, AT, digestIn(TRUSTED));
    await readable();
    expect((await listed(at, digestIn(TRUSTED))).some(({ digest }) => before.some((each) => each.digest === digest))).toBe(false);
    expect(await faultsOf(at.services.metadata, AT, at.directory)).toEqual([]);
  });

  test("is signed once, and the audit tells of it as a whole", async () => {
    await using at = await old();
    const signed = await signStatements(at.services);
    expect(await mayHaveUnsigned(at.services)).toBe(false);
    expect(await signStatements(at.services)).toBe(0);
    const told = [];
    for await (const { event } of streamAudit(at.services, {})) if (event.type === "statements.sign") told.push(event.after);
    expect(told).toEqual([{ signed }]);
  });

  test("goes on where a stop left it, with nothing signed twice", async () => {
    await using at = await old();
    const stopping = new AbortController();
    let commits = 0;
    const { metadata } = at.services;
    const counting: MetadataStore = {
      get: (key) => metadata.get(key),
      list: (range) => metadata.list(range),
      close: () => metadata.close(),
      commit: async (change) => {
        commits += 1;
        if (commits === 4) stopping.abort();
        return metadata.commit(change);
      },
    };
    await signStatements({ ...at.services, metadata: counting }, stopping.signal);
    expect(await mayHaveUnsigned(at.services)).toBe(true);
    expect(await signStatements(at.services)).toBe(11);
    expect(await faultsOf(at.services.metadata, AT, at.directory)).toEqual([]);
    expect(await about(at, LIFTED)).toBe("PASSED PASSED acquired revoked trusted trusted");
  });

  test("takes up after a crash between any two changes", async () => {
    await using at = await old();
    const rows = await at.services.metadata.list(under(keys.allStatements(), 100));
    // As if the process was killed after these, before it wrote down how far it was.
    for (const { key } of rows.slice(0, 5)) await signUnsigned(at.services, linkAt(key));
    for (const { key } of rows.slice(0, 5)) expect(await signUnsigned(at.services, linkAt(key))).toBe(false);
    await signStatements(at.services);
    expect(await faultsOf(at.services.metadata, AT, at.directory)).toEqual([]);
  });

  test("keeps nothing of a root that is deleted between the decision to sign and its commit", async () => {
    await using at = await old();
    const { metadata } = at.services;
    let deleted: Promise<unknown> | undefined;
    const overtaken: MetadataStore = {
      get: (key) => metadata.get(key),
      list: (range) => metadata.list(range),
      close: () => metadata.close(),
      commit: async (change) => {
        if (change.audit.some(({ target }) => target?.digest === digestIn(TRUSTED)) && deleted === undefined) {
          deleted = at.delete(operator, AT, digestIn(TRUSTED));
          await deleted;
        }
        return metadata.commit(change);
      },
    };
    await signStatements({ ...at.services, metadata: overtaken });
    expect(deleted).toBeDefined();
    expect(await faultsOf(metadata, AT, at.directory)).toEqual([]);
  });

  test("can be changed while it is being signed", async () => {
    await using at = await old();
    const acts = [
      () => at.revoke(operator, AT, digestIn(TRUSTED)),
      () => at.promote(operator, AT, digestIn(HELD)),
      () => at.delete(operator, AT, digestIn(BARRED)),
      () => at.revoke(operator, AT, digestIn(LIFTED)),
    ];
    await Promise.all([signStatements(at.services), ...acts.map(whenItsTurn)]);
    await signStatements(at.services);
    expect(await faultsOf(at.services.metadata, AT, at.directory)).toEqual([]);
    expect(await about(at, LIFTED)).toBe("FAILED PASSED PASSED acquired revoked revoked trusted trusted");
  });
});

test("a revocation that has taken the way is waited for, and comes first", async () => {
  await using at = await old();
  const { metadata } = at.services;
  const way = keys.rightOfWay(AT);
  const change = { expect: [], put: [], remove: [], audit: [] };
  await metadata.commit({ ...change, put: [{ key: way, value: { v: 1, until: Date.now() + 3_600_000 } }] });
  const looked = Promise.withResolvers<void>();
  let looks = 0;
  const watched: MetadataStore = {
    get: (key) => {
      if (key[0] === way[0] && (looks += 1) === 2) looked.resolve();
      return metadata.get(key);
    },
    list: (range) => metadata.list(range),
    commit: (changed) => metadata.commit(changed),
    close: () => metadata.close(),
  };
  const signing = signStatements({ ...at.services, metadata: watched });
  await looked.promise;
  expect(await about(at, TRUSTED)).toBe("acquired trusted");
  await metadata.commit({ ...change, remove: [way] });
  expect(await signing).toBe(2 + 4 + 3 + 2);
});

/** As clients do whose change a revocation comes before. */
async function whenItsTurn(act: () => Promise<unknown>): Promise<void> {
  for (;;) {
    const code = await act().then(
      () => undefined,
      (error: unknown) => (error instanceof RegistryError ? error.code : Promise.reject(error)),
    );
    if (code === undefined) return;
    expect(code).toBe("UNAVAILABLE");
    await sleep(10);
  }
}

test("a new store has nothing to sign", async () => {
  await using at = await Transitions.start();
  expect(await mayHaveUnsigned(at.services)).toBe(false);
  expect(await signStatements(at.services)).toBe(0);
});
