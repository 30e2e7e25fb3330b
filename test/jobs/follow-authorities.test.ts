import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { followAuthorities } from "../../src/jobs/follow-authorities.ts";
import { registryJobs } from "../../src/jobs/registry-jobs.ts";
import { startScheduler } from "../../src/jobs/scheduler.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { OCI_INDEX } from "../../src/oci/media-types.ts";
import { authorityRevocations } from "../../src/registry/authority-revocations.ts";
import { followRevocation } from "../../src/registry/follow-revocation.ts";
import type { TransitionServices } from "../../src/registry/transition.ts";
import { keys, under } from "../../src/storage/keys.ts";
import type { Change, Key, MetadataStore } from "../../src/storage/metadata-store.ts";
import { statementRecord } from "../../src/storage/records.ts";
import { type Artifact, CI, PolicyRegistry, SIGNED_BY_CI, policyOf } from "../support/policy-registry.ts";
import { repository } from "../support/principal.ts";
import { ISSUER, type KeySigner, keySigner, statementOf } from "../support/private-sigstore.ts";
import { Publishers, keyOf } from "../support/publishers.ts";
import { imageOf, nested } from "../support/transitions.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const HOUR = 3_600_000;
const PROGRESS = keys.job("follow-authorities");

let world: PolicyRegistry;
let publishers: Publishers;
let services: TransitionServices;
beforeAll(async () => {
  world = await PolicyRegistry.start();
  publishers = new Publishers(world);
  ({ services } = world.registry);
});
afterAll(() => world.registry.stop());

// Nothing that a test revokes holds for the next one.
beforeEach(async () => {
  await publishers.liftAll();
  await services.metadata.commit({ expect: [], put: [], remove: [PROGRESS], audit: [] });
});

/** Trusted artifacts that nobody else has signed. */
async function trustedBy(signer: KeySigner, ...names: readonly string[]): Promise<readonly Artifact[]> {
  const artifacts: Artifact[] = [];
  for (const name of names) {
    await publishers.signedBy(name, [signer]);
    const artifact = await publishers.pushed(name, signer);
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 200 });
    artifacts.push(artifact);
  }
  return artifacts;
}

async function states(artifacts: readonly Artifact[]): Promise<readonly string[]> {
  const told: string[] = [];
  for (const artifact of artifacts) told.push(await world.stateOf(artifact));
  return told;
}

/** The states that an artifact's statements tell of, in their order. */
async function statedOf({ repository: name, digest }: Artifact): Promise<readonly unknown[]> {
  const rows = await services.metadata.list(under(keys.statements(repository(name), digest as Digest), 100));
  return rows.map(({ value }) => (JSON.parse(statementRecord.parse(value).payload) as { predicate: { state: unknown } }).predicate.state);
}

interface Watching {
  /** Before a row is read; what it throws is thrown by the store. */
  readonly reads?: (key: Key) => void;
  readonly writes?: (change: Change) => void;
  readonly written?: (change: Change) => void;
}

/** The same registry, whose metadata are looked at as they are used. */
function watched({ reads, writes, written }: Watching): TransitionServices {
  const { metadata } = services;
  const around: MetadataStore = {
    get: async (key) => {
      reads?.(key);
      return metadata.get(key);
    },
    list: (range) => metadata.list(range),
    commit: async (change) => {
      writes?.(change);
      const outcome = await metadata.commit(change);
      written?.(change);
      return outcome;
    },
    close: () => metadata.close(),
  };
  return { ...services, metadata: around };
}

const revokes = ({ audit }: Change): boolean => audit.some(({ type }) => type === "artifact.revoke");
const isOf =
  (kind: string, { digest }: Artifact) =>
  (key: Key): boolean =>
    key[0] === kind && key[2] === digest;
const ONCE = ["acquired", "trusted", "revoked"];

describe("looking at what rested on a revoked authority", () => {
  test("begins as soon as somebody revokes it", async () => {
    const signer = keySigner();
    const artifacts = await trustedBy(signer, "soon");
    const times = { collectInterval: HOUR, uploadExpiry: HOUR, verifyInterval: 0, verifyRate: 0 };
    const job = registryJobs(world.registry.services, times).find(({ name }) => name === "follow-authorities");
    if (job === undefined) throw new Error("there is no such job");
    let ended = 0;
    const run = async (signal: AbortSignal): Promise<unknown> => job.run(signal).finally(() => (ended += 1));
    const scheduler = startScheduler(world.registry.services, [{ ...job, run, every: HOUR }]);
    try {
      // It runs once by itself.
      await expect.poll(() => ended).toBe(1);
      await publishers.revoke(keyOf(signer));
      await expect.poll(() => states(artifacts)).toEqual(["revoked"]);
      await expect.poll(() => publishers.revoked()).toMatchObject([{ followed: { revoked: 1 } }]);
    } finally {
      await scheduler.stop();
    }
  });

  test("goes on where it was told to end", async () => {
    const signer = keySigner();
    const artifacts = await trustedBy(signer, "end-a", "end-b", "end-c");
    await publishers.revoke(keyOf(signer));
    const ending = new AbortController();
    const first = watched({ written: (change) => void (revokes(change) && ending.abort()) });
    expect(await followAuthorities(first, ending.signal)).toBe(1);
    const [done] = artifacts;
    expect(await states(artifacts)).toEqual(["revoked", "trusted", "trusted"]);
    expect(await publishers.revoked()).toMatchObject([{ followed: null }]);
    const again: Key[] = [];
    const second = watched({ reads: (key) => void again.push(key) });
    expect(await followAuthorities(second)).toBe(2);
    expect(again.filter(isOf("manifest", done as Artifact))).toEqual([]);
    expect(await states(artifacts)).toEqual(["revoked", "revoked", "revoked"]);
    expect(await publishers.revoked()).toMatchObject([{ followed: { revoked: 3, quarantined: 0, kept: 0 } }]);
    expect(await services.metadata.get(PROGRESS)).toBeUndefined();
  });

  test("revokes each artifact once when it is killed in between, and when two workers are at it", async () => {
    const signer = keySigner();
    const artifacts = await trustedBy(signer, "killed-a", "killed-b", "killed-c", "killed-d");
    await publishers.revoke(keyOf(signer));
    let isKilled = false;
    const killed = watched({
      writes: () => {
        if (isKilled) throw new Error("it was killed");
      },
      written: (change) => {
        isKilled ||= revokes(change);
      },
    });
    await expect(followAuthorities(killed)).rejects.toThrow("it was killed");
    expect(await states(artifacts)).toEqual(["revoked", "trusted", "trusted", "trusted"]);
    await Promise.all([followAuthorities(services), followAuthorities(services)]);
    for (const artifact of artifacts) expect(await statedOf(artifact)).toEqual(ONCE);
    expect(await publishers.revoked()).not.toMatchObject([{ followed: null }]);
    expect(await followAuthorities(services)).toBe(0);
  });

  test("is kept by no artifact that cannot be decided about, and comes back to it, also when it ended before", async () => {
    const signer = keySigner();
    const artifacts = await trustedBy(signer, "hurt-a", "hurt-b", "hurt-c");
    const [hurt] = artifacts;
    await publishers.revoke(keyOf(signer));
    const ending = new AbortController();
    const failing = watched({
      reads: (key) => {
        if (isOf("decision", hurt as Artifact)(key)) throw new Error("a sector that cannot be read");
      },
      written: (change) => void (revokes(change) && ending.abort()),
    });
    expect(await followAuthorities(failing, ending.signal)).toBe(1);
    expect(await states(artifacts)).toEqual(["trusted", "revoked", "trusted"]);
    expect(await followAuthorities(services)).toBe(1);
    expect(await states(artifacts)).toEqual(["trusted", "revoked", "revoked"]);
    expect(await publishers.revoked()).toMatchObject([{ followed: null }]);
    expect(await followAuthorities(services)).toBe(1);
    expect(await states(artifacts)).toEqual(["revoked", "revoked", "revoked"]);
    expect(await publishers.revoked()).toMatchObject([{ followed: { revoked: 3, quarantined: 0, kept: 0 } }]);
  });

  // Whoever pushes the parts of an index after it was decided about may nest them as deep as they like.
  test("ends also where an artifact became larger than any may be", async () => {
    const signer = keySigner();
    await publishers.signedBy("grown", [signer]);
    const parts = nested(imageOf([]), 9);
    const index = JSON.stringify(parts.at(-1));
    const [name, digest] = ["models/grown", digestOf(index)];
    await world.pushAll(name, parts.slice(-1));
    const artifact = { repository: name, ref: `${name}@${digest}`, digest, size: index.length, mediaType: OCI_INDEX };
    await world.attach(artifact, signer.bundle(statementOf(artifact.digest)));
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 422 });
    await world.pushAll(name, parts);
    const { status, decision } = await world.act(artifact, "promote");
    expect([status, decision.checks.find(({ id }) => id === "closure-complete")]).toMatchObject([
      422,
      { status: "fail", message: `${artifact.digest} nests manifests more than 8 deep` },
    ]);
    await publishers.revoke(keyOf(signer));
    expect(await followAuthorities(services)).toBe(1);
    expect(await publishers.revoked()).toMatchObject([{ followed: { revoked: 0, quarantined: 1, kept: 0 } }]);
  });

  test("counts an artifact once that several of the revoked identities signed, also when it goes on later", async () => {
    const team = keySigner();
    await world.putPolicy(
      policyOf("twice", "models/twice", {
        trustRoots: { corp: { name: "corp-root", digest: world.root } },
        authorities: [SIGNED_BY_CI, { type: "key", name: "team", keys: [{ id: "team", pem: team.pem }] }],
        require: [{ name: "signed", anyOf: ["release-ci", "team"], evidence: { kind: "signature" } }],
      }),
    );
    const artifact = await publishers.pushed("twice", team);
    for (const identity of [CI, CI.replace("/demo/", "/other/")])
      await world.attach(artifact, await world.sigstore.keyless(identity, statementOf(artifact.digest)), { note: identity });
    expect(await world.act(artifact, "promote")).toMatchObject({ status: 200 });
    await publishers.revoke({ type: "identity", issuer: { exact: ISSUER }, subject: { glob: "https://git.corp.example/ml/**" } });
    const ending = new AbortController();
    const first = watched({ reads: (key) => void (isOf("manifest", artifact)(key) && ending.abort()) });
    expect(await followAuthorities(first, ending.signal)).toBe(0);
    expect(await publishers.revoked()).toMatchObject([{ followed: null }]);
    expect(await followAuthorities(services)).toBe(0);
    expect(await publishers.revoked()).toMatchObject([{ followed: { revoked: 0, quarantined: 0, kept: 1 } }]);
  });

  test("leaves alone what is decided about after it was lifted, and another revocation does not take its place in the work", async () => {
    const [lifted, other] = [keySigner(), keySigner()];
    await publishers.signedBy("lifted", [lifted, other], 2);
    const artifact = await publishers.pushed("lifted", lifted, other);
    await world.act(artifact, "promote");
    const { statement } = await publishers.revoke(keyOf(lifted));
    await services.metadata.commit({
      expect: [],
      put: [{ key: PROGRESS, value: { v: 1, statement, after: ["~", "~", "~"], revoked: 7, quarantined: 7, kept: 7, failed: 0 } }],
      remove: [],
      audit: [],
    });
    const [known] = await authorityRevocations(services);
    await publishers.lift(statement);
    if (known === undefined) throw new Error("it is not revoked");
    const place = { repository: repository(artifact.repository), artifact: artifact.digest as Digest };
    await publishers.revoke(keyOf(other));
    expect(await followRevocation(services, known, place)).toBe("kept");
    expect(await world.stateOf(artifact)).toBe("trusted");
    expect(await followAuthorities(services)).toBe(1);
    expect(await world.stateOf(artifact)).toBe("revoked");
    expect(await publishers.revoked()).toMatchObject([{ followed: { revoked: 1, quarantined: 0, kept: 0 } }]);
  });

  test("finds what a version decided that did not write down whose evidence it took", async () => {
    const signer = keySigner();
    const artifacts = await trustedBy(signer, "old-a", "old-b");
    const later = [...(await services.metadata.list(under(keys.signers(), 1_000)))];
    const places = await services.metadata.list(under(["signer-artifact"], 1_000));
    expect([later.length > 0, places.length > 1]).toEqual([true, true]);
    const remove = [...later, ...places].map(({ key }) => key);
    await services.metadata.commit({ expect: [], put: [], remove: [...remove, keys.job("index-decisions")], audit: [] });
    await publishers.revoke(keyOf(signer));
    expect(await followAuthorities(services)).toBe(2);
    expect(await states(artifacts)).toEqual(["revoked", "revoked"]);
    expect(await services.metadata.list(under(["signer-artifact"], 1_000))).toMatchObject(places.map(({ key }) => ({ key })));
  });
});
