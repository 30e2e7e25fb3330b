import { describe, expect, test } from "vitest";
import { indexDecisions } from "../../src/jobs/index-decisions.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { signerHash } from "../../src/registry/decision-rows.ts";
import { keys, under } from "../../src/storage/keys.ts";
import type { Change, MetadataStore, Put } from "../../src/storage/metadata-store.ts";
import { repository } from "../support/principal.ts";
import { putRows } from "../support/rows.ts";
import { temporaryMetadata } from "../support/temporary-metadata.ts";

const AT = repository("models/m");
const SCAN = { scan_results: {}, scanner_versions: {}, policy_version: "", source_revision: "" };
const KEY = { type: "key", fingerprint: digestOf("a key") } as const;
const IDENTITY = { type: "identity", issuer: "https://issuer.example", subject: "ci" } as const;
const CERTIFICATE = { type: "certificate", subject: "CN=ci", root: digestOf("root") } as const;
const ARTIFACT = digestOf("artifact");
const SIGNERS = [KEY, IDENTITY, CERTIFICATE];
/** More than are looked at, and written, at once. */
const MANY = 600;

const accepted = (signer: object) => ({ manifest: digestOf("evidence"), signer, signed_at: null });

/** A decision as an earlier version recorded it. */
function decisionOf(signers: readonly object[]): object {
  const requirements = [{ name: "signed", accepted: signers.map(accepted), met: true }];
  const policies = [{ name: "p", version: 1, digest: digestOf("p"), mode: "enforce", requirements }];
  return { v: 1, decision: { artifact: ARTIFACT, scan: SCAN, policies, checks: [] } };
}

function rowOf(at: number, value: object): Put {
  return { key: keys.decision(AT, digestOf(`artifact ${at}`), digestOf(`decision ${at}`)), value };
}

async function indexed(metadata: MetadataStore): Promise<Readonly<Record<string, number>>> {
  const counts = SIGNERS.map(async (signer) => {
    const hash = signerHash(signer);
    expect((await metadata.get(keys.signer(hash)))?.value).toEqual(signer);
    return [signer.type, (await metadata.list(under(keys.signerArtifacts(hash), 10_000))).length];
  });
  return Object.fromEntries((await Promise.all(counts)) as [string, number][]);
}

/** A store with a decision about each of many artifacts, of which each signer signed every third one. */
async function old(metadata: MetadataStore): Promise<void> {
  const rows = Array.from({ length: MANY }, (_, at) => {
    const signer = SIGNERS[at % SIGNERS.length] as (typeof SIGNERS)[number];
    return rowOf(at, decisionOf([signer.type === "key" ? { ...signer, id: "what a policy calls it" } : signer]));
  });
  // From before there were written policies, and before anybody said anything of scans.
  const first = [
    { artifact: ARTIFACT, scan: SCAN, checks: [] },
    { artifact: ARTIFACT, checks: [] },
  ];
  await putRows(metadata, [...rows, ...first.map((decision, at) => rowOf(MANY + at, { v: 1, decision }))]);
}

describe("indexing whose evidence old decisions took", () => {
  test("writes it down for every decision, and once in the life of a store", async () => {
    await using at = await temporaryMetadata();
    const { metadata } = at;
    await old(metadata);
    expect(await indexDecisions(at)).toBe(true);
    expect(await indexed(metadata)).toEqual({ key: 200, identity: 200, certificate: 200 });
    await putRows(metadata, [rowOf(MANY + 2, decisionOf([KEY]))]);
    expect(await indexDecisions(at)).toBe(true);
    expect(await indexed(metadata)).toMatchObject({ key: 200 });
  });

  test("goes on where it was ended or killed, and misses none", async () => {
    await using at = await temporaryMetadata();
    const { metadata } = at;
    await old(metadata);
    const ending = new AbortController();
    let looked = 0;
    const watched = (written: () => void): { metadata: MetadataStore } => ({
      metadata: {
        get: (key) => metadata.get(key),
        list: async (range) => {
          const rows = await metadata.list(range);
          looked += rows.length;
          return rows;
        },
        commit: async (change: Change) => {
          const outcome = await metadata.commit(change);
          written();
          return outcome;
        },
        close: () => metadata.close(),
      },
    });
    expect(
      await indexDecisions(
        watched(() => ending.abort()),
        ending.signal,
      ),
    ).toBe(false);
    const killed = watched(() => {
      throw new Error("it was killed");
    });
    await expect(indexDecisions(killed)).rejects.toThrow("it was killed");
    looked = 0;
    expect(await indexDecisions(watched(() => undefined))).toBe(true);
    // What is left of them after two pages.
    expect(looked).toBe(MANY + 2 - 512);
    expect(await indexed(metadata)).toEqual({ key: 200, identity: 200, certificate: 200 });
  });

  test("is not begun again by a process that was slower than another one", async () => {
    await using at = await temporaryMetadata();
    const { metadata } = at;
    await old(metadata);
    const others: boolean[] = [];
    const slow: MetadataStore = {
      get: (key) => metadata.get(key),
      list: (range) => metadata.list(range),
      commit: async (change) => {
        if (others.length === 0) others.push(await indexDecisions(at));
        return metadata.commit(change);
      },
      close: () => metadata.close(),
    };
    const ending = new AbortController();
    const written = { ...slow, commit: (change: Change) => slow.commit(change).finally(() => ending.abort()) };
    await indexDecisions({ metadata: written }, ending.signal);
    expect(others).toEqual([true]);
    expect((await metadata.get(keys.job("index-decisions")))?.value).toEqual({ v: 1, status: "done", after: null });
    expect(await indexed(metadata)).toEqual({ key: 200, identity: 200, certificate: 200 });
  });
});
