import { describe, expect, test } from "vitest";
import type { Digest } from "../../src/oci/digest.ts";
import { listAttestationKeys, rotateSigningKey } from "../../src/registry/attestation-keys.ts";
import { finishRevocationsEverywhere } from "../../src/registry/revoke-everywhere.ts";
import { type Snapshot, takeSnapshot } from "../../src/registry/snapshot.ts";
import { signStatements } from "../../src/jobs/sign-statements.ts";
import type { Change, Outcome } from "../../src/storage/metadata-store.ts";
import { callerWith } from "../support/callers.ts";
import { repository } from "../support/principal.ts";
import { verified } from "../support/signed-statements.ts";
import { Transitions, digestIn, imageOf, indexOf, signatureOf } from "../support/transitions.ts";

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const operator = callerWith(["operator@*"], { name: "operator" });
const reader = callerWith(["reader@*"], { name: "reader" });
const AT = repository("models/m");
const MODEL = imageOf(["weights"]);
const OTHER = imageOf(["weights"], { annotations: { which: "other" } });
const TREE = indexOf([MODEL, OTHER]);
const SIGNATURE = signatureOf(TREE, "signature");
const IT = digestIn(MODEL);
const DAY = 86_400_000;

async function pushed(...manifests: readonly object[]): Promise<Transitions> {
  const at = await Transitions.start();
  for (const content of ["{}", "weights", "signature"]) await at.blob(publisher, AT, content);
  for (const manifest of manifests) await at.manifest(publisher, AT, manifest);
  return at;
}

async function snapshot(at: Transitions, of: Digest, caller = operator, maxAge?: number): Promise<Snapshot> {
  return takeSnapshot(at.services, await at.find(caller, AT, of, "seen"), maxAge);
}

interface Predicate {
  readonly takenAt: string;
  readonly expires: string;
  readonly keys: { readonly seq: number; readonly statement: string };
  readonly subjects: Readonly<Record<string, Head>>;
}

interface Head {
  readonly state: string;
  readonly seq: number;
  readonly statement: string;
  readonly permanent: boolean;
  readonly summaries: readonly { readonly seq: number; readonly bundle: string }[];
}

/** What a snapshot says, if the key that signs now signed it. */
async function said(at: Transitions, { bundle }: Snapshot): Promise<Predicate> {
  const known = await listAttestationKeys(at.services);
  const { statement, key } = verified(JSON.parse(bundle), known);
  expect(key.id).toBe(known.at(-1)?.id);
  expect(statement.predicateType).toBe("https://ai-model-registry.dev/attestations/trust-snapshot/v1");
  return statement.predicate as unknown as Predicate;
}

const stateIn = ({ subjects }: Predicate): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(subjects).map(([name, { state, seq }]) => [name, `${state} ${seq}`]));

describe("a snapshot", () => {
  test("tells of what was only pushed by the digest of a payload that nobody has signed yet", async () => {
    await using at = await pushed(MODEL);
    const taken = await snapshot(at, IT);
    const [chain] = taken.chains;
    expect(taken.chains).toHaveLength(1);
    expect(chain?.links).toEqual([expect.objectContaining({ sequence: 1, state: "acquired", manifest: null })]);
    expect((await said(at, taken)).subjects).toEqual({
      [`models/m@${IT}`]: { state: "acquired", seq: 1, statement: chain?.links[0]?.digest, permanent: false, summaries: [] },
    });
  });

  test("names the last link of each chain and every summary, lifted ones too, and whether a revocation is permanent", async () => {
    await using at = await pushed(MODEL);
    await at.promote(operator, AT, IT);
    await at.revoke(operator, AT, IT);
    await at.promote(operator, AT, IT);
    await at.revoke(operator, AT, IT, { permanent: true });
    const taken = await snapshot(at, IT);
    const links = taken.chains[0]?.links ?? [];
    const head = (await said(at, taken)).subjects[`models/m@${IT}`];
    expect(head).toEqual({
      state: "revoked",
      seq: 5,
      statement: links[4]?.digest,
      permanent: true,
      summaries: links.flatMap(({ sequence, summary }) => (summary === undefined ? [] : [{ seq: sequence, bundle: summary.bundle }])),
    });
    expect(head?.summaries.map(({ seq }) => seq)).toEqual([2, 3, 4, 5]);
    expect(links.map(({ isSummaryListed }) => isSummaryListed)).toEqual([false, true, false, true, true]);
  });

  test("tells of all that an artifact contains, and of what its promotion covers", async () => {
    await using at = await pushed(MODEL, OTHER, TREE, SIGNATURE);
    const root = digestIn(TREE);
    expect(Object.keys((await said(at, await snapshot(at, root))).subjects)).toHaveLength(3);
    await at.promote(operator, AT, root);
    await at.revoke(operator, AT, digestIn(OTHER));
    expect(stateIn(await said(at, await snapshot(at, root, reader)))).toEqual({
      [`models/m@${root}`]: "trusted 2",
      [`models/m@${IT}`]: "acquired 1",
      [`models/m@${digestIn(OTHER)}`]: "revoked 2",
      [`models/m@${digestIn(SIGNATURE)}`]: "acquired 1",
    });
    await at.revoke(operator, AT, root);
    expect(Object.keys((await said(at, await snapshot(at, root, reader))).subjects)).toHaveLength(4);
  });

  test("is none for who may not see the artifact, in the words of one that is not there", async () => {
    await using at = await pushed(MODEL);
    const words = async (of: Digest): Promise<unknown> => snapshot(at, of, reader).catch((error: unknown) => error);
    expect(await words(IT)).toEqual(await words(digestIn(OTHER)));
    expect(await words(IT)).toMatchObject({ code: "NOT_FOUND" });
  });

  test("names the last key, and is signed anew when another one signs", async () => {
    await using at = await pushed(MODEL);
    await signStatements(at.services);
    const before = await said(at, await snapshot(at, IT));
    await rotateSigningKey(at.services, operator, null);
    const after = await said(at, await snapshot(at, IT));
    expect([before.keys.seq, after.keys.seq]).toEqual([1, 2]);
    expect(after.keys.statement).not.toBe(before.keys.statement);
  });

  test("waits for a revocation everywhere that is not written here yet", async () => {
    await using at = await pushed(MODEL);
    await at.blob(publisher, "models/n", "{}");
    await at.blob(publisher, "models/n", "weights");
    await at.manifest(publisher, "models/n", MODEL);
    await at.promote(operator, AT, IT);
    await at.revoke(operator, "models/n", IT, { everywhere: true });
    await expect(snapshot(at, IT)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await finishRevocationsEverywhere(at.services);
    expect(stateIn(await said(at, await snapshot(at, IT)))).toEqual({ [`models/m@${IT}`]: "revoked 3" });
  });

  test("is never older than a transition that comes while it is taken", async () => {
    await using at = await pushed(MODEL);
    await at.promote(operator, AT, IT);
    let isFirst = true;
    const commit = async (change: Change): Promise<Outcome> => {
      if (isFirst) {
        isFirst = false;
        await at.revoke(operator, AT, IT);
      }
      return at.services.metadata.commit(change);
    };
    const { metadata } = at.services;
    const outrun = { get: metadata.get.bind(metadata), list: metadata.list.bind(metadata), close: metadata.close.bind(metadata), commit };
    const artifact = await at.find(operator, AT, IT, "seen");
    const taken = await takeSnapshot({ ...at.services, metadata: outrun }, artifact);
    expect(stateIn(await said(at, taken))).toEqual({ [`models/m@${IT}`]: "revoked 3" });
  });
});

describe("the bytes of a snapshot", () => {
  test("are the same for everybody until something changes", async () => {
    await using at = await pushed(MODEL);
    await at.promote(operator, AT, IT);
    const first = await snapshot(at, IT);
    expect(await snapshot(at, IT, reader)).toEqual(first);
    await at.restart();
    expect(await snapshot(at, IT, reader)).toEqual(first);
    await at.revoke(operator, AT, IT);
    expect((await snapshot(at, IT)).bundle).not.toBe(first.bundle);
  });

  test("are new when half of its life is over, and before for who wants it younger", async () => {
    await using at = await pushed(MODEL);
    const start = Date.now();
    let now = start;
    const later = at.through(Object.assign(Object.create(at.services) as typeof at.services, { clock: () => now }));
    const first = await snapshot(later, IT);
    expect(first.expiresAt - first.takenAt).toBe(30 * DAY);
    expect(await said(later, first)).toMatchObject({ takenAt: `${new Date(start).toISOString().slice(0, 19)}Z` });
    now = start + 14 * DAY;
    expect((await snapshot(later, IT)).bundle).toBe(first.bundle);
    expect((await snapshot(later, IT, operator, 15 * DAY)).bundle).toBe(first.bundle);
    const young = await snapshot(later, IT, operator, DAY);
    expect(young.takenAt - first.takenAt).toBe(14 * DAY);
    now = start + 28 * DAY;
    expect((await snapshot(later, IT)).bundle).toBe(young.bundle);
    now = start + 30 * DAY;
    expect((await snapshot(later, IT)).bundle).not.toBe(young.bundle);
  });
});
