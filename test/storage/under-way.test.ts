import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openFilesystem } from "../../src/storage/filesystem.ts";
import { removeUnwrittenResult, writeResultFile } from "../../src/storage/result-file.ts";
import { removeUnwrittenSecrets, writeSecretFile } from "../../src/storage/secret-file.ts";
import { nameUnderWay, removeLeftovers } from "../../src/storage/under-way.ts";
import { type Child, startChild } from "../support/child.ts";

const PROCESS_NAME = new URL("process/process-name.ts", import.meta.url);
const ID = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";

let folder: string;
let living: Child;
/** Names of the process that lives, and of one that has ended. */
const names = { living: "", ended: "" };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "amr-under-way-"));
  await mkdir(join(folder, "uploads"));
  living = startChild(PROCESS_NAME, folder);
  const other = startChild(PROCESS_NAME, folder);
  await Promise.all([living.said(1), other.said(1)]);
  Object.assign(names, { living: living.lines[0], ended: other.lines[0] });
  await other.kill();
});

afterEach(async () => {
  await living.kill();
  await rm(folder, { recursive: true, force: true });
});

test("what a process left under way goes when it has ended, whether a file or a folder, and nothing else", async () => {
  const own = nameUnderWay("+x.");
  const kept = [own, `+x.${names.living}.${ID}`, `+x.swp`, `+y.${names.ended}.${ID}`, `+x.${names.ended}`, `+x.${names.ended}.${ID}.txt`];
  for (const name of kept) await writeFile(join(folder, name), "");
  await writeFile(join(folder, `+x.${names.ended}.${ID}`), "");
  await mkdir(join(folder, `+x.${names.ended}.${ID.replace("6", "7")}`, "deep"), { recursive: true });
  await removeLeftovers(folder, "+x.");
  expect((await readdir(folder)).toSorted()).toEqual([...kept, "uploads"].toSorted());
  await removeLeftovers(join(folder, "nowhere"), "+x.");
});

test("secrets, results and the token of removals that a kill left half made go at the next start", async () => {
  const left = [`.new.${names.ended}.${ID}`, `.result.json.${names.ended}.${ID}`];
  for (const name of [...left, `.new.${names.living}.${ID}`]) await writeFile(join(folder, name), "");
  await mkdir(join(folder, "blobs", `removal.${names.ended}.${ID}`), { recursive: true });
  await removeUnwrittenSecrets(folder);
  await removeUnwrittenResult(join(folder, "result.json"));
  await openFilesystem(folder);
  expect((await readdir(folder)).toSorted()).toEqual([`.new.${names.living}.${ID}`, "blobs", "uploads"]);
  expect(await readdir(join(folder, "blobs"))).toEqual(["removal"]);
  await writeSecretFile(join(folder, "secret"), "s".repeat(32));
  await writeResultFile(join(folder, "result.json"), "{}");
  expect((await readdir(folder)).filter((name) => name.startsWith("."))).toEqual([`.new.${names.living}.${ID}`]);
});
