import { afterAll, beforeAll, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { ClosureWalk, NO_OVERLAY } from "../../src/registry/closure.ts";
import { gatherCovers } from "../../src/registry/covers.ts";
import { keys } from "../../src/storage/keys.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";
import { callerWith } from "../support/callers.ts";
import { repository } from "../support/principal.ts";
import { Transitions, digestIn, imageOf, indexOf, signatureOf } from "../support/transitions.ts";

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const signer = callerWith(["publisher@models"], { name: "signer" });
const HERE = repository("models/here");
/** More than are looked at. */
const JUNK = 6_000;

let at: Transitions;
beforeAll(async () => {
  at = await Transitions.start();
  for (const content of ["{}", "weights", "a signature", "another"]) await at.blob(publisher, HERE, content);
});
afterAll(() => at[Symbol.asyncDispose]());

// As the index has them when somebody attaches thousands, however little they are.
test("junk that is attached to an artifact hides neither what others attached to its parts, nor what is attached to that", async () => {
  const image = imageOf(["weights"]);
  await at.manifest(publisher, HERE, image);
  const index = indexOf([image]);
  const root = await at.manifest(publisher, HERE, index);
  const signature = signatureOf(image, "a signature");
  await at.manifest(signer, HERE, signature);
  const countersigned = signatureOf(signature, "another");
  await at.manifest(signer, HERE, countersigned);
  const junk = Array.from({ length: JUNK }, (_, n) => ({
    key: keys.referrerBy(HERE, root, "junk", [1, n, digestOf(`junk ${n}`)]),
    value: {},
  }));
  await at.services.metadata.commit({ expect: [], put: junk, remove: [], audit: [] });
  const closure = await new ClosureWalk(at.services, HERE, NO_OVERLAY).follow([root], async () => true);
  const covers = await gatherCovers(at.services, HERE, closure, { covers: [], evidence: [] });
  expect(covers.digests).toEqual([digestIn(signature), digestIn(countersigned)].toSorted());
  expect(covers.notConsidered).toBeGreaterThan(0);
});

// Each row is small, so that one person can have hundreds of thousands of them below one index.
test("what is attached to the parts of an index is not read beyond the share of each part", async () => {
  const images = Array.from({ length: 64 }, (_, n) => ({ ...imageOf(["weights"]), annotations: { n: `${n}` } }));
  for (const image of images) await at.manifest(publisher, HERE, image);
  const index = indexOf(images);
  const root = await at.manifest(publisher, HERE, index);
  const junk = images.flatMap((image) =>
    Array.from({ length: 600 }, (_, n) => ({
      key: keys.referrerBy(HERE, digestIn(image), "junk", [1, n, digestOf(`${digestIn(image)} ${n}`)]),
      value: {},
    })),
  );
  await at.services.metadata.commit({ expect: [], put: junk, remove: [], audit: [] });
  const closure = await new ClosureWalk(at.services, HERE, NO_OVERLAY).follow([root], async () => true);
  const { metadata } = at.services;
  let rows = 0;
  const counted = {
    ...metadata,
    get: metadata.get.bind(metadata),
    list: async (...args: Parameters<MetadataStore["list"]>) => {
      const listed = await metadata.list(...args);
      rows += listed.length;
      return listed;
    },
  };
  const covers = await gatherCovers({ ...at.services, metadata: counted }, HERE, closure, { covers: [], evidence: [] });
  expect(rows).toBeLessThan(6_000);
  // Each part has some that were not looked at.
  expect(covers.notConsidered).toBeGreaterThanOrEqual(images.length);
});
