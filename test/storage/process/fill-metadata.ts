import { join } from "node:path";
import { linkSchema, verify } from "../../../src/audit/chain.ts";
import { keys, under } from "../../../src/storage/keys.ts";
import { openLmdb } from "../../../src/storage/lmdb.ts";
import type { Change, Outcome } from "../../../src/storage/metadata-store.ts";
import { v7 } from "../../support/uuid.ts";

/** `fill-metadata.ts <folder on a small file system>`: commits until there is no room, then removes and commits again; says what came of it. */
const [, , folder = ""] = process.argv;
let unhandled = 0;
process.on("unhandledRejection", () => (unhandled += 1));
const store = await openLmdb(join(folder, "metadata"));

async function commit(over: Partial<Change>): Promise<Outcome> {
  const audit = [
    { id: v7(), time: Date.now(), type: "test.fill", actor: { principal: "tester", kind: "system" }, outcome: "allow" } as const,
  ];
  return store.commit({ expect: [], put: [], remove: [], audit, ...over });
}

let committed = 0;
let error = "";
while (error === "" && committed < 1000) {
  const batch = [0, 1, 2].map((index) => commit({ put: [{ key: ["blob", committed, index], value: new Uint8Array(50_000) }] }));
  const outcomes = await Promise.allSettled(batch);
  committed += outcomes.filter(({ status }) => status === "fulfilled").length;
  const failed = outcomes.find((outcome) => outcome.status === "rejected");
  if (failed !== undefined) error = failed.reason instanceof Error ? failed.reason.name : String(failed.reason);
}
const links = (await store.list(under(keys.audits(), 10_000))).map(({ value }) => linkSchema.parse(value));
const after = await commit({ remove: [["blob", 0, 0]] }).catch(String);
await commit({ remove: [["blob", 0, 1]] }).catch(String);
await store.close();
process.stdout.write(JSON.stringify({ error, committed, events: links.length, intact: verify(links).intact, after, unhandled }));
