import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { type Reference, type RepositoryName, tagSchema } from "../../src/oci/reference.ts";
import { findArtifact, findContent } from "../../src/registry/find-artifact.ts";
import { listReferrers } from "../../src/registry/list-referrers.ts";
import { listTags } from "../../src/registry/list-tags.ts";
import { pullManifest } from "../../src/registry/pull-manifest.ts";
import { callerWith } from "../support/callers.ts";
import { repository } from "../support/principal.ts";
import { Transitions, imageOf } from "../support/transitions.ts";
import { watchedReads } from "../support/watched-reads.ts";

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const reader = callerWith(["reader@*"], { name: "reader" });
const HERE = repository("models/here");
const NOWHERE = repository("models/nowhere");
const HIDDEN = Buffer.from(JSON.stringify(imageOf(["weights"])));
const MISSING = Buffer.from("missing");

let at: Transitions;
beforeAll(async () => {
  at = await Transitions.start();
  for (const content of ["{}", "weights"]) await at.blob(publisher, HERE, content);
  await at.manifest(publisher, HERE, imageOf(["weights"]), "v1");
});
afterAll(() => at[Symbol.asyncDispose]());

const reference = (name: string): Reference => ({ tag: tagSchema.parse(name) });

type Needs = Parameters<typeof pullManifest>[0];
type Ask = (needs: Needs, place: RepositoryName) => Promise<unknown>;

/** What is read of the metadata, by family, while something is asked; and how it ends. */
async function readsOf(ask: Ask, place: RepositoryName): Promise<readonly string[]> {
  const { metadata, reads } = watchedReads(at.services.metadata);
  const end = await ask({ ...at.services, metadata }, place).catch(String);
  return [...reads, JSON.stringify(end)];
}

const page = { n: 10, last: undefined };
const digests = ["sha256", "sha512"] as const;

const byDigest: readonly (readonly [string, (digest: Digest) => Ask])[] = [
  ["pulled", (digest) => (needs, place) => pullManifest(needs, reader, place, { digest })],
  [
    "asked of by the native API",
    (digest) => (needs, place) => findArtifact(needs, reader, { repository: place, reference: { digest } }, "seen"),
  ],
  ["deleted", (digest) => (needs, place) => findContent(needs, reader, place, digest)],
  [
    "asked for what is attached to it",
    (digest) => (needs, place) => listReferrers(needs, reader, { repository: place, subject: digest, artifactType: undefined, page }),
  ],
];

// Whoever can measure tells one from the other by how long the answer takes (protocol.md §3).
describe("a hidden manifest takes the same reads as a missing one when it is", () => {
  test.each(byDigest)("%s, by either of its names", async (_, asking) => {
    for (const algorithm of digests) {
      const [hidden, missing] = [asking(digestOf(HIDDEN, algorithm)), asking(digestOf(MISSING, algorithm))];
      const reads = await readsOf(hidden, HERE);
      expect(reads).toContain("list reach");
      expect(await readsOf(missing, HERE)).toEqual(reads);
      expect(await readsOf(hidden, NOWHERE)).toEqual(reads);
    }
  });

  test("asked of by a tag, and so is a hidden repository", async () => {
    for (const ask of [
      (name: string): Ask =>
        (needs, place) =>
          pullManifest(needs, reader, place, reference(name)),
      (): Ask => (needs, place) => listTags(needs, reader, place, page),
    ]) {
      const reads = await readsOf(ask("v1"), HERE);
      expect(await readsOf(ask("v2"), HERE)).toEqual(reads);
      expect(await readsOf(ask("v1"), NOWHERE)).toEqual(reads);
    }
  });
});

describe("a trusted manifest takes as many reads as a missing one, for who has no right there, when it is", () => {
  const stranger = callerWith(["publisher@elsewhere"], { name: "stranger" });
  const operator = callerWith(["operator@*"], { name: "operator" });
  const THERE = repository("models/there");
  const trusted = imageOf(["weights"]);

  beforeAll(async () => {
    for (const content of ["{}", "weights"]) await at.blob(publisher, THERE, content);
    await at.promote(operator, THERE, await at.manifest(publisher, THERE, trusted, "v1"));
  });

  test.each(digests)("pulled by its %s", async (algorithm) => {
    const asking =
      (bytes: Buffer): Ask =>
      (needs, place) =>
        pullManifest(needs, stranger, place, { digest: digestOf(bytes, algorithm) });
    const reads = await readsOf(asking(Buffer.from(JSON.stringify(trusted))), THERE);
    expect(reads).toContain("list reach");
    expect(reads.at(-1)).toContain("manifest unknown");
    const missing = await readsOf(asking(MISSING), THERE);
    expect({ reads: missing.length, end: missing.at(-1) }).toEqual({ reads: reads.length, end: reads.at(-1) });
  });
});
