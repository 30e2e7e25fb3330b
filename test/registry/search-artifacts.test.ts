import { afterAll, beforeAll, expect, test } from "vitest";
import type { RepositoryName } from "../../src/oci/reference.ts";
import type { Caller } from "../../src/registry/ports.ts";
import { type FoundPage, searchArtifacts } from "../../src/registry/search-artifacts.ts";
import { keys } from "../../src/storage/keys.ts";
import { callerWith } from "../support/callers.ts";
import { repository } from "../support/principal.ts";
import { Transitions, digestIn, imageOf } from "../support/transitions.ts";

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const operator = callerWith(["operator@*"], { name: "operator" });
const reader = callerWith(["reader@*"], { name: "reader" });
const LAST = repository("models/zz");
const IMAGE = imageOf(["weights"]);
const DIGEST = digestIn(IMAGE);
const COPIES = 30;
const LIMIT = 20;
const AUDIT = { id: "1", time: 0, type: "test.change", actor: { principal: "system", kind: "system" }, outcome: "allow" } as const;
/** Of which many thousands are hidden, in front of one that is trusted. */
const COPIED = imageOf(["weights", "weights"]);

let at: Transitions;
beforeAll(async () => {
  at = await Transitions.start();
  for (const content of ["{}", "weights"]) await at.blob(publisher, LAST, content);
  for (const name of [...Array.from({ length: COPIES }, (_, n) => `models/copy-${10 + n}`), LAST])
    await at.manifest(publisher, name, IMAGE);
  await at.promote(operator, LAST, DIGEST);
  await at.manifest(publisher, LAST, COPIED);
  await at.promote(operator, LAST, digestIn(COPIED));
  // As who copies it to hundreds of repositories would leave them, however little there is.
  const rows = Array.from({ length: 900 }, (_, n) => ({ key: keys.manifestRepository(DIGEST, repository(`junk/m${n}`)), value: {} }));
  await at.services.metadata.commit({ expect: [], put: rows, remove: [], audit: [AUDIT] });
});
afterAll(() => at[Symbol.asyncDispose]());

async function page(caller: Caller, cursor?: string, of = DIGEST): Promise<FoundPage> {
  const search = { name: "", digest: of.slice(0, 20), state: undefined, type: "", cursor, limit: LIMIT };
  return searchArtifacts(at.services, caller, search);
}

test("a digest is found in every repository that has it, page by page, however many have it", async () => {
  const first = await page(operator);
  expect(first.artifacts).toHaveLength(LIMIT);
  const second = await page(operator, first.next ?? undefined);
  const places = [...first.artifacts, ...second.artifacts].map(({ repository: name }) => name as RepositoryName);
  expect(new Set(places).size).toBe(COPIES + 1);
  expect([places.at(-1), second.next]).toEqual([LAST, null]);
});

test("a reader finds what is trusted behind what is hidden, and no page more that would tell of that", async () => {
  const { artifacts, next } = await page(reader);
  expect(artifacts.map(({ repository: name }) => name)).toEqual([LAST]);
  expect(next).toBeNull();
});

test("a cursor of one's own is refused, and one of another digest begins anew", async () => {
  for (const own of ["x", `${LAST}@${DIGEST}`]) await expect(page(operator, own)).rejects.toMatchObject({ code: "INVALID" });
  const { next } = await page(operator);
  const found = await page(operator, next ?? undefined, digestIn(COPIED));
  expect(found.artifacts).toEqual((await page(operator, undefined, digestIn(COPIED))).artifacts);
  expect(found.artifacts).toHaveLength(1);
});

test("what is trusted is found behind however much that is hidden, by pages that tell no place of it", async () => {
  const digest = digestIn(COPIED);
  const put = Array.from({ length: 5_100 }, (_, n) => ({ key: keys.manifestRepository(digest, repository(`junk/n${n}`)), value: {} }));
  await at.services.metadata.commit({ expect: [], put, remove: [], audit: [AUDIT] });
  let [found, pages] = [await page(reader, undefined, digest), 1];
  for (; found.artifacts.length === 0 && found.next !== null; pages += 1) {
    expect(Buffer.from(found.next, "base64url").toString("latin1")).not.toContain("junk");
    await expect(page({ ...reader, principal: { ...reader.principal, credential: "another" } }, found.next, digest)).rejects.toMatchObject({
      code: "INVALID",
    });
    found = await page(reader, found.next, digest);
  }
  expect([found.artifacts.map(({ repository: name }) => name), found.next, pages]).toEqual([[LAST], null, 6]);
});
