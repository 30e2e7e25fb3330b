import { afterAll, beforeAll, expect, test } from "vitest";
import { type Browser, faultsOfPage } from "../../support/browser.ts";
import { newViewer } from "../../support/viewers.ts";
import { type WholeRegistry, startWholeRegistry } from "../../support/whole-registry.ts";

let registry: WholeRegistry;
let auditor: Browser;
let publisher: Browser;
beforeAll(async () => {
  registry = await startWholeRegistry();
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

test("it is for who may read the audit by the API, and tells others nothing", async () => {
  const { status, text } = await publisher.get("/ui/audit");
  expect(status).toBe(403);
  expect(text).toContain("auditors and operators");
  expect(sequences(text)).toEqual([]);
});
