import { afterAll, beforeAll, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { OCI_IMAGE, OCI_INDEX } from "../../src/oci/media-types.ts";
import { ClosureWalk, NO_OVERLAY } from "../../src/registry/closure.ts";
import { NO_SCAN_EVIDENCE } from "../../src/policy/scan-evidence.ts";
import { evaluatePromotion } from "../../src/registry/evaluate.ts";
import { findManifest } from "../../src/registry/serving.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";
import { callerWith } from "../support/callers.ts";
import { looksInARow } from "../support/looks-in-a-row.ts";
import { repository } from "../support/principal.ts";
import { Transitions, imageOf, indexOf } from "../support/transitions.ts";

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const HERE = repository("models/here");
const TIMES = 300;
/** Look-ups in memory that take a few milliseconds. */
const MANY = 1_000;

let at: Transitions;
beforeAll(async () => {
  at = await Transitions.start();
});
afterAll(() => at[Symbol.asyncDispose]());

// An index has room for ten thousand names of one large manifest, and whoever looks at its page has it walked.
test("a manifest that is named again and again is read once, under each of its names", async () => {
  const image = imageOf([], { annotations: { long: "x".repeat(20_000) } });
  const text = JSON.stringify(image);
  await at.manifest(publisher, HERE, image);
  const named = (algorithm: "sha256" | "sha512", size: number): object[] =>
    Array.from({ length: TIMES }, () => ({ mediaType: OCI_IMAGE, digest: digestOf(text, algorithm), size }));
  const missing = { mediaType: OCI_IMAGE, digest: digestOf("missing"), size: 1 };
  const manifests = [...named("sha256", text.length), ...named("sha512", text.length), ...named("sha512", 1), missing, missing];
  const root = await at.manifest(publisher, HERE, { schemaVersion: 2, mediaType: OCI_INDEX, manifests });
  const { metadata } = at.services;
  let contents = 0;
  const watched: MetadataStore = {
    get: (key) => {
      if (key[0] === "manifest-content") contents += 1;
      return metadata.get(key);
    },
    list: (range) => metadata.list(range),
    commit: (change) => metadata.commit(change),
    close: () => metadata.close(),
  };
  const walk = await new ClosureWalk({ metadata: watched }, HERE, NO_OVERLAY).follow([root], async () => true);
  expect(contents).toBe(3);
  expect([...walk.manifests.keys()].toSorted()).toEqual([root, digestOf(text)].toSorted());
  expect(walk.missized).toHaveLength(TIMES);
  expect(walk.missing).toHaveLength(1);
});

// The metadata are in memory, so that no look-up waits for anything: thousands of them in a row would keep all other requests waiting.
test("a promotion of something large is decided while others have their turn", async () => {
  const parts = Array.from({ length: 64 }, (_, part) => {
    const layers = Array.from({ length: 16 }, (_part, layer) => {
      const digest = digestOf(`${part} ${layer}`);
      return { mediaType: "application/octet-stream", digest, size: 70_000 };
    });
    return imageOf([], { layers });
  });
  for (const part of parts) await at.manifest(publisher, HERE, part);
  const root = await at.manifest(publisher, HERE, indexOf(parts));
  const found = await findManifest(at.services, HERE, root);
  if (found === undefined) throw new Error("it is not there");
  const request = { refTag: undefined, tags: [], covers: [], evidence: [], scan: NO_SCAN_EVIDENCE };
  const most = await looksInARow(at.services.metadata, async (metadata) => {
    expect((await evaluatePromotion({ ...at.services, metadata }, HERE, found, request)).decision.allowed).toBe(false);
  });
  expect(most).toBeLessThan(MANY);
});

test("a manifest that names very many blobs is taken in while others have their turn", async () => {
  const layers = Array.from({ length: 1_024 }, (_, layer) => ({
    mediaType: "application/octet-stream",
    digest: digestOf(`layer ${layer}`),
    size: 1,
  }));
  const most = await looksInARow(at.services.metadata, (metadata) =>
    at.through({ ...at.services, metadata }).manifest(publisher, HERE, imageOf([], { layers })),
  );
  expect(most).toBeLessThan(MANY);
});
