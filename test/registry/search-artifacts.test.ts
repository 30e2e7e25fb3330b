import { afterAll, beforeAll, expect, test } from "vitest";
import type { RepositoryName } from "../../src/oci/reference.ts";
import type { Caller } from "../../src/registry/ports.ts";
import { searchArtifacts } from "../../src/registry/search-artifacts.ts";
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

let at: Transitions;
beforeAll(async () => {
  at = await Transitions.start();
  for (const content of ["{}", "weights"]) await at.blob(publisher, LAST, content);
  for (const name of [...Array.from({ length: COPIES }, (_, n) => `models/copy-${10 + n}`), LAST])
    await at.manifest(publisher, name, IMAGE);
  await at.promote(operator, LAST, DIGEST);
  // As who copies it to hundreds of repositories would leave them, however little there is.
  const rows = Array.from({ length: 1_000 }, (_, n) => ({ key: keys.manifestRepository(DIGEST, repository(`junk/m${n}`)), value: {} }));
  const audit = { id: "1", time: 0, type: "test.change", actor: { principal: "system", kind: "system" }, outcome: "allow" } as const;
  await at.services.metadata.commit({ expect: [], put: rows, remove: [], audit: [audit] });
});
afterAll(() => at[Symbol.asyncDispose]());

async function page(caller: Caller, cursor?: string): ReturnType<typeof searchArtifacts> {
  const search = { name: "", digest: DIGEST.slice(0, 20), state: undefined, type: "", cursor, limit: LIMIT };
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

test("a cursor of another list is refused, and one of another digest begins anew", async () => {
  await expect(page(operator, "x")).rejects.toMatchObject({ code: "INVALID" });
  expect(await page(operator, `${LAST}@sha256:${"0".repeat(64)}`)).toEqual(await page(operator));
});
