import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { entryOf, linkOf, auditEntrySchema } from "../../src/api/audit.ts";
import { verify } from "../../src/audit/chain.ts";
import type { AuditEvent } from "../../src/audit/event.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { auditHead, readAudit, streamAudit } from "../../src/registry/read-audit.ts";
import { openLmdb } from "../../src/storage/lmdb.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";

const EVENTS = 12_345;
const DIGEST = digestOf("an artifact");

let directory: string;
let metadata: MetadataStore;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "amr-read-audit-"));
  metadata = await openLmdb(directory);
  const events = Array.from({ length: EVENTS }, (_, i) => eventOf(i + 1));
  for (let at = 0; at < EVENTS; at += 1_000) {
    await metadata.commit({ expect: [], put: [], remove: [], audit: events.slice(at, at + 1_000) });
  }
});

afterAll(async () => {
  await metadata.close();
  await rm(directory, { recursive: true, force: true });
});

/** Nearly all are pushes by one actor; a few are not. */
function eventOf(sequence: number): AuditEvent {
  const rare = sequence % 4_000 === 0;
  return {
    id: `id-${sequence}`,
    time: sequence,
    type: rare ? "artifact.promote" : "artifact.push",
    actor: { principal: rare ? "operator" : "publisher", kind: "service" },
    outcome: "allow",
    target: { kind: "artifact", name: rare ? "models/x" : "models/y", ...(rare && { digest: DIGEST, tag: "v1" }) },
  };
}

const sequences = async (query: Parameters<typeof readAudit>[1]): Promise<{ sequences: number[]; next: number | undefined }> => {
  const { links, next } = await readAudit({ metadata }, query);
  return { sequences: links.map(({ sequence }) => sequence), next };
};

test("a page holds the events after a sequence, oldest first, and says where to go on", async () => {
  expect(await sequences({ after: 0, limit: 3, filter: {} })).toEqual({ sequences: [1, 2, 3], next: 3 });
  expect(await sequences({ after: 700, limit: 2, filter: {} })).toEqual({ sequences: [701, 702], next: 702 });
});

test("the page that reaches the end has no next one, also when it is full", async () => {
  expect(await sequences({ after: EVENTS - 2, limit: 2, filter: {} })).toEqual({ sequences: [EVENTS - 1, EVENTS], next: undefined });
  expect(await sequences({ after: EVENTS - 1, limit: 2, filter: {} })).toEqual({ sequences: [EVENTS], next: undefined });
  expect(await sequences({ after: EVENTS, limit: 2, filter: {} })).toEqual({ sequences: [], next: undefined });
  expect(await sequences({ after: Number.MAX_SAFE_INTEGER, limit: 2, filter: {} })).toEqual({ sequences: [], next: undefined });
});

test("pages that follow next give the whole chain, unbroken", async () => {
  const links = [];
  for (let after: number | undefined = 0; after !== undefined;) {
    const page = await readAudit({ metadata }, { after, limit: 1_000, filter: {} });
    links.push(...page.links);
    after = page.next;
  }
  expect(links).toHaveLength(EVENTS);
  expect(verify(links)).toMatchObject({ intact: true, head: { sequence: EVENTS } });
  expect(await auditHead({ metadata })).toEqual(links.at(-1));
});

test.each([
  ["an actor", { actor: "operator" }],
  ["a type", { type: "artifact.promote" }],
  ["a repository", { artifact: "models/x" }],
  ["a tag", { artifact: "models/x:v1" }],
  ["a digest", { artifact: `models/x@${DIGEST}` }],
  ["all of them", { actor: "operator", type: "artifact.promote", artifact: "models/x" }],
])("a filter by %s looks at ten thousand links a request, and the cursor goes on from there", async (_, filter) => {
  expect(await sequences({ after: 0, limit: 10, filter })).toEqual({ sequences: [4_000, 8_000], next: 10_000 });
  expect(await sequences({ after: 10_000, limit: 10, filter })).toEqual({ sequences: [12_000], next: undefined });
});

test.each([
  ["another actor", { actor: "oper" }],
  ["half a type", { type: "artifact.pro" }],
  ["another digest", { artifact: `models/x@${digestOf("other")}` }],
  ["another tag", { artifact: "models/x:v2" }],
  ["filters that do not hold together", { actor: "operator", artifact: "models/y" }],
])("a filter by %s finds nothing", async (_, filter) => {
  expect((await sequences({ after: 0, limit: 10, filter })).sequences).toEqual([]);
});

test("the first part of a type stands for all types under it", async () => {
  expect((await sequences({ after: 3_998, limit: 3, filter: { type: "artifact" } })).sequences).toEqual([3_999, 4_000, 4_001]);
});

test("the stream gives every event that the filter lets through", async () => {
  const found: number[] = [];
  for await (const { sequence } of streamAudit({ metadata }, { actor: "operator" })) found.push(sequence);
  expect(found).toEqual([4_000, 8_000, 12_000]);
});

test("what the API shows of a link is enough to prove it again", async () => {
  const { links } = await readAudit({ metadata }, { after: 0, limit: 10, filter: {} });
  const shown = links.map((link) => auditEntrySchema.parse(JSON.parse(JSON.stringify(entryOf(link)))));
  expect(shown[0]).toMatchObject({ sequence: 1, time: "1970-01-01T00:00:00.001Z", type: "artifact.push" });
  expect(verify(shown.map(linkOf))).toMatchObject({ intact: true, head: { sequence: 10 } });
});
