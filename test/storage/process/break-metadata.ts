import { openLmdb } from "../../../src/storage/lmdb.ts";
import { type Fault, breakLmdb } from "../../support/break-lmdb.ts";
import { v7 } from "../../support/uuid.ts";

/** `break-metadata.ts <folder> <fault>`: commits, breaks LMDB, asks for this and that; says what came of it. */
const [, , folder = "", fault = ""] = process.argv;
let told = 0;
const store = await openLmdb(folder, () => {
  told += 1;
});

async function outcome(asked: Promise<unknown>): Promise<string> {
  return asked.then(
    () => "done",
    () => "failed",
  );
}

async function put(value: number): Promise<string> {
  const audit = [
    { id: v7(), time: Date.now(), type: "test.put", actor: { principal: "tester", kind: "system" }, outcome: "allow" } as const,
  ];
  return outcome(store.commit({ expect: [], put: [{ key: ["blob", "n"], value }], remove: [], audit }));
}

const before = `${await put(1)} ${await outcome(store.get(["blob", "n"]))}`;
const isBroken = breakLmdb(fault as Fault);
const after = await put(2);
const get = await outcome(store.get(["blob", "n"]));
const list = await outcome(store.list({ start: ["blob"], end: ["bloc"], limit: 1 }));
const said = JSON.stringify({ before, isBroken, after, told, get, list });
process.stdout.write(`${said}\n`, () => process.kill(process.pid, "SIGKILL"));
