import { afterAll, beforeAll, expect, test } from "vitest";
import { type Browser, faultsOfPage } from "../../support/browser.ts";
import { limitsOf } from "../../support/limits.ts";
import { newViewer } from "../../support/viewers.ts";
import { type WholeRegistry, startWholeRegistry } from "../../support/whole-registry.ts";

const limits = limitsOf();
let registry: WholeRegistry;
let auditor: Browser;
let publisher: Browser;
beforeAll(async () => {
  registry = await startWholeRegistry({ limits });
  auditor = await newViewer(registry, "auditor", "auditor", "*");
  publisher = await newViewer(registry, "publisher", "owner", "models");
  for (let at = 0; at < 40; at += 1) await registry.key("publisher");
  for (let at = 0; at < 3; at += 1) await publisher.signIn("publisher", "amr_wrong");
});
afterAll(() => registry.close());

/** The sequences of a page's events. */
function sequences(text: string): number[] {
  return [...text.matchAll(/<th role="rowheader" scope="row">(\d+)<\/th>/g)].map(([, sequence]) => Number(sequence));
}

/** All pages from one on, earlier and earlier. */
async function walk(path: string): Promise<number[]> {
  const all: number[] = [];
  for (let page: string | undefined = path; page !== undefined;) {
    const { text } = await auditor.get(page);
    expect(faultsOfPage(text)).toEqual([]);
    all.push(...sequences(text));
    page = /rel="next" href="([^"]+)"/.exec(text)?.[1]?.replaceAll("&amp;", "&");
  }
  return all;
}

test("the audit is shown newest first, page by page, each event once", async () => {
  const events = await registry.events();
  const count = events.length;
  expect(count).toBeGreaterThan(40);
  expect(await walk("/ui/audit")).toEqual(Array.from({ length: count }, (_, at) => count - at));
});

test("by who, what and about what", async () => {
  const signIns = await walk("/ui/audit?type=auth.session");
  expect(signIns).toHaveLength(2);
  expect(await walk("/ui/audit?type=auth.session&actor=auditor")).toHaveLength(1);
  expect(await walk("/ui/audit?artifact=models/none")).toEqual([]);
  expect((await auditor.get("/ui/audit?artifact=models/none")).text).toContain("No event fits");
});

test("its chain is proven, and a page that was changed is named with what to do", async () => {
  const head = (await registry.events()).length;
  const page = await auditor.get("/ui/audit");
  expect(page.text).toMatch(/<code class="whole">sha256:[0-9a-f]{64}<\/code>/);
  const proof = await auditor.get("/ui/audit/verify");
  expect(faultsOfPage(proof.text)).toEqual([]);
  expect(proof.text).toContain(`to ${head} are whole`);
  expect(proof.text).toContain("That is the last one.");
  expect((await auditor.get(`/ui/audit/verify?after=${head + 9}`)).text).toContain(`The chain is broken at event ${head + 9}`);
});

test("it is taken away as JSON lines, oldest first, by the filter that is shown", async () => {
  const linesAt = async (path: string): Promise<{ sequence: number; type: string }[]> => {
    const { headers, text } = await auditor.get(path);
    expect(headers["content-disposition"]).toBe('attachment; filename="audit.jsonl"');
    const lines = text.split("\n").filter((line) => line !== "");
    return lines.map((line) => JSON.parse(line) as { sequence: number; type: string });
  };
  const count = (await registry.events()).length;
  expect((await linesAt("/ui/audit/jsonl")).map(({ sequence }) => sequence)).toEqual(Array.from({ length: count }, (_, at) => at + 1));
  const [, path = ""] = /href="(\/ui\/audit\/jsonl[^"]*)"/.exec((await auditor.get("/ui/audit?type=auth.session")).text) ?? [];
  expect((await linesAt(path)).map(({ type }) => type.startsWith("auth.session"))).toEqual([true, true]);
});

test("it is taken away also while somebody else takes all of the log, however slowly", async () => {
  expect(await limits.begin("export")).toBe(true);
  try {
    expect(await auditor.get("/ui/audit/jsonl")).toMatchObject({ status: 200 });
    expect(await limits.begin("export")).toBe(false);
  } finally {
    limits.done("export");
  }
});

test.each(["/ui/audit/verify", "/ui/audit/jsonl"])("%s tells who may not read the audit nothing", async (path) => {
  const { status, text } = await publisher.get(path);
  expect(status).toBe(403);
  expect(text).toContain("auditors and operators");
  expect(text).not.toContain("sequence");
});

test("the way to it is shown to who may go there", async () => {
  expect((await auditor.get("/ui/")).text).toContain('href="/ui/audit"');
  expect((await publisher.get("/ui/")).text).not.toContain('href="/ui/audit"');
});

test("it is for who may read the audit by the API, and tells others nothing", async () => {
  const { status, text } = await publisher.get("/ui/audit");
  expect(status).toBe(403);
  expect(text).toContain("auditors and operators");
  expect(sequences(text)).toEqual([]);
});
