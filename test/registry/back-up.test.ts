import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createLogger } from "../../src/log.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { backUp } from "../../src/registry/back-up.ts";
import { condemn, finishRemoval } from "../../src/registry/remove-blob.ts";
import { checkBackup, restore } from "../../src/registry/restore.ts";
import { verifyBlob } from "../../src/registry/verify-blob.ts";
import { BackupFolder } from "../../src/storage/backup-folder.ts";
import { openDataDirectory } from "../../src/storage/data-directory.ts";
import { blobPath } from "../../src/storage/filesystem.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { openLmdb } from "../../src/storage/lmdb.ts";
import { treePendingRecord } from "../../src/storage/records.ts";
import { RestoredDirectory } from "../../src/storage/restored-directory.ts";
import { callerWith } from "../support/callers.ts";
import { overwriteRow } from "../support/blob-rows.ts";
import { repository } from "../support/principal.ts";
import { writtenStatements } from "../support/signed-statements.ts";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";
import { Transitions, digestIn, imageOf } from "../support/transitions.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const PASSPHRASE = "a passphrase of the test, long enough";
const publisher = callerWith(["publisher@models"], { name: "publisher" });
const operator = callerWith(["operator@*"], { name: "operator" });
const HERE = repository("models/here");
const MODEL = imageOf(["weights"]);
const WEIGHTS = digestOf("weights");

let folder: string;
let registry: TestRegistry;
let backup: BackupFolder;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "amr-back-up-"));
  registry = await startTestRegistry();
  const at = Transitions.over(registry.directory, registry.services);
  for (const content of ["{}", "weights"]) await at.blob(publisher, HERE, content);
  await at.manifest(publisher, HERE, MODEL, "v1");
  await at.promote(operator, HERE, digestIn(MODEL));
  backup = await BackupFolder.open(join(folder, "backup"), { make: true });
});
afterEach(async () => {
  await backup.close();
  await registry.stop();
  await rm(folder, { recursive: true, force: true });
});

const into = (): string => join(folder, "restored");

function restoring(over: { readonly passphrase?: string; readonly atLeast?: number } = {}): Promise<unknown> {
  const services = { clock: () => Date.now(), newId: randomUUID, log: createLogger("silent") };
  return restore(services, { folder: backup, passphrase: PASSPHRASE, into: into(), atLeast: 0, ...over });
}

/** What runtimes get of the model's weights from a registry over the restored directory. */
async function servedThere(): Promise<number> {
  const restored = await startTestRegistry({ directory: into() });
  const answer = await restored.fetchAs("runtime", `/v2/${HERE}/blobs/${WEIGHTS}`);
  await answer.body?.cancel();
  await restored.stop();
  return answer.status;
}

const bytesOf = (digest: Digest): string => blobPath(join(folder, "backup", "blobs"), digest);

async function overwrite(path: string, change: (bytes: Buffer) => void): Promise<void> {
  const bytes = await readFile(path);
  change(bytes);
  await chmod(path, 0o600);
  await writeFile(path, bytes);
}

test("a second backup into the same folder copies what is new alone, and drops what the registry has no more", async () => {
  const first = await backUp(registry.services, backup, PASSPHRASE);
  // Those of the statements are rows of the metadata.
  const rows = await registry.services.metadata.list(under(keys.blobContents(), 100));
  expect([rows.length, first.copied]).toEqual([4, first.blobs.count - rows.length]);
  const at = Transitions.over(registry.directory, registry.services);
  await at.blob(publisher, HERE, "more");
  await removeBlob(digestOf("{}"));
  const second = await backUp(registry.services, backup, PASSPHRASE);
  expect([second.copied, second.blobs.count]).toEqual([1, first.blobs.count]);
  await expect(stat(bytesOf(digestOf("{}")))).rejects.toThrow("ENOENT");
  expect(await readdir(join(folder, "backup", "metadata-copies"))).toHaveLength(2);
  await checkBackup(backup, PASSPHRASE);
});

test("a restored registry has its folders of trusted/ ordered, and held by nobody: whoever made it is not waited for", async () => {
  await backUp(registry.services, backup, PASSPHRASE);
  await restoring();
  const metadata = await openLmdb(join(into(), "metadata"));
  const pending = await metadata.list(under(keys.treesPending(), 10));
  await metadata.close();
  expect(pending.map(({ key }) => key[2])).toContain(digestIn(MODEL));
  expect(new Set(pending.map(({ value }) => treePendingRecord.parse(value).process))).toEqual(new Set([""]));
});

test("what a backup that was killed had half copied goes with the next one", async () => {
  await backUp(registry.services, backup, PASSPHRASE);
  const half = join(dirname(bytesOf(WEIGHTS)), `.${randomUUID()}`);
  await writeFile(half, "wei");
  await backUp(registry.services, backup, PASSPHRASE);
  await expect(stat(half)).rejects.toThrow("ENOENT");
  await checkBackup(backup, PASSPHRASE);
});

test("a folder in which somebody has put a link is not written to, since what is of no use is removed there", async () => {
  await backUp(registry.services, backup, PASSPHRASE);
  await backup.close();
  const theirs = join(folder, "theirs");
  await mkdir(theirs);
  await writeFile(join(theirs, "precious"), "");
  const prefix = join(folder, "backup", "blobs", "sha256", "zz");
  await symlink(theirs, prefix);
  await expect(BackupFolder.open(join(folder, "backup"), { make: true })).rejects.toThrow(/zz is no folder of a backup, but a link/);
  expect(await readdir(theirs)).toEqual(["precious"]);
  await rm(prefix);
  await chmod(join(folder, "backup", "blobs"), 0o777);
  await expect(BackupFolder.open(join(folder, "backup"), { make: true })).rejects.toThrow(/blobs can be written by others/);
});

/** As the collector does, without waiting for the grace. */
async function removeBlob(digest: Digest): Promise<void> {
  const { metadata } = registry.services;
  const [record, use] = [await metadata.get(keys.blob(digest)), await metadata.get(keys.blobUse(digest))];
  expect(await condemn(registry.services, digest, { record, use, size: 1 })).toBe(true);
  await finishRemoval(registry.services, digest);
}

test("what is collected between the copy of the metadata and that of the bytes makes the backup begin with newer metadata", async () => {
  let collected = false;
  const addBlob = backup.addBlob.bind(backup);
  backup.addBlob = async (digest, from) => {
    if (!collected) await removeBlob(WEIGHTS);
    collected = true;
    return addBlob(digest, from);
  };
  const report = await backUp(registry.services, backup, PASSPHRASE);
  expect(report.lost).toEqual([]);
  await expect(stat(bytesOf(WEIGHTS))).rejects.toThrow("ENOENT");
  await checkBackup(backup, PASSPHRASE);
});

test.each(["addMetadata", "openMetadata", "addBlob", "finish"] as const)(
  "a disk that fails at %s leaves the earlier backup whole, and the next one succeeds without what it left",
  async (step) => {
    const first = await backUp(registry.services, backup, PASSPHRASE);
    await Transitions.over(registry.directory, registry.services).blob(publisher, HERE, "more");
    const call = backup[step].bind(backup);
    const broken = Object.assign(new Error("i/o error"), { code: "EIO" });
    Object.assign(backup, { [step]: () => Promise.reject(broken) });
    await expect(backUp(registry.services, backup, PASSPHRASE)).rejects.toBe(broken);
    Object.assign(backup, { [step]: call });
    expect((await checkBackup(backup, PASSPHRASE)).audit).toEqual(first.audit);
    const second = await backUp(registry.services, backup, PASSPHRASE);
    expect(second.blobs.count).toBe(first.blobs.count + 1);
    expect(await readdir(join(folder, "backup", "metadata-copies"))).toHaveLength(2);
  },
);

test("a backup that fails while it is finished keeps no copy of the metadata, which would take the room of the next one", async () => {
  const first = await backUp(registry.services, backup, PASSPHRASE);
  const finish = backup.finish.bind(backup);
  backup.finish = async (...args) => {
    await rm(join(folder, "backup", "blobs"), { recursive: true });
    return finish(...args);
  };
  await expect(backUp(registry.services, backup, PASSPHRASE)).rejects.toThrow("ENOENT");
  expect(await readdir(join(folder, "backup", "metadata-copies"))).toHaveLength(2);
  expect((await backup.read(PASSPHRASE)).audit).toEqual(first.audit);
});

test("damaged bytes are not taken for good ones, and are out of service where the backup is restored", async () => {
  await overwrite(blobPath(registry.services.paths.blobs, WEIGHTS), (bytes) => bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0));
  const report = await backUp(registry.services, backup, PASSPHRASE);
  expect(report.lost).toEqual([WEIGHTS]);
  await verifyBlob(registry.services, WEIGHTS);
  await restoring();
  expect(await servedThere()).toBe(403);
});

/** The bundle of the promotion, which is a row. */
async function statement(): Promise<Digest> {
  const [, link] = await writtenStatements(Transitions.over(registry.directory, registry.services), HERE, digestIn(MODEL));
  return link?.bundle ?? WEIGHTS;
}

async function servedStatement(digest: Digest): Promise<{ readonly status: number; readonly actual: Digest }> {
  const restored = await startTestRegistry({ directory: into() });
  const answer = await restored.fetchAs("runtime", `/v2/${HERE}/blobs/${digest}`);
  const bytes = Buffer.from(await answer.arrayBuffer());
  await restored.stop();
  return { status: answer.status, actual: digestOf(bytes) };
}

test("statements, which are rows of the metadata, are in a backup and in the registry that is restored", async () => {
  const digest = await statement();
  const report = await backUp(registry.services, backup, PASSPHRASE);
  expect(report.lost).toEqual([]);
  await expect(stat(bytesOf(digest))).rejects.toThrow("ENOENT");
  await checkBackup(backup, PASSPHRASE);
  await restoring();
  expect(await servedStatement(digest)).toEqual({ status: 200, actual: digest });
});

test("a damaged row is not taken for a good one, found or not, and is out of service where the backup is restored", async () => {
  const digest = await statement();
  await overwriteRow(registry.services.metadata, digest, "wrong");
  const report = await backUp(registry.services, backup, PASSPHRASE);
  expect(report.lost).toEqual([digest]);
  expect((await checkBackup(backup, PASSPHRASE)).lost).toEqual([digest]);
  await restoring();
  expect((await servedStatement(digest)).status).toBe(403);
});

test("a row that was damaged when the metadata were copied, and healed before its blob was looked at, is not lost", async () => {
  const at = Transitions.over(registry.directory, registry.services);
  const digest = await statement();
  const content = await buffer(await registry.services.blobs.open(digest));
  await overwriteRow(registry.services.metadata, digest, "wrong");
  await verifyBlob(registry.services, digest);
  const openMetadata = backup.openMetadata.bind(backup);
  let opened = 0;
  backup.openMetadata = async (id) => {
    opened += 1;
    if (opened === 1) await at.blob(publisher, HERE, content);
    return openMetadata(id);
  };
  expect((await backUp(registry.services, backup, PASSPHRASE)).lost).toEqual([]);
  await restoring();
  expect(await servedStatement(digest)).toEqual({ status: 200, actual: digest });
});

test("a row that a backup says is good and is not, is found by a check and refused by a restore", async () => {
  const digest = await statement();
  await overwriteRow(registry.services.metadata, digest, "wrong");
  const finish = backup.finish.bind(backup);
  backup.finish = async (passphrase, content, ...rest) => finish(passphrase, { ...content, lost: [] }, ...rest);
  await backUp(registry.services, backup, PASSPHRASE);
  await expect(checkBackup(backup, PASSPHRASE)).rejects.toThrow("the backup has not the right bytes");
  await expect(restoring()).rejects.toThrow("the backup has not the right bytes");
  await expect(stat(join(into(), "metadata", "data.mdb"))).rejects.toThrow("ENOENT");
});

test("a backup that was changed, or another passphrase, is refused, and nothing is restored that could be started", async () => {
  const report = await backUp(registry.services, backup, PASSPHRASE);
  await expect(restoring({ passphrase: `${PASSPHRASE}.` })).rejects.toThrow("the passphrase is another one");
  await expect(restoring({ atLeast: report.audit.sequence + 1 })).rejects.toThrow("revocations between the two would be forgotten");
  const changes: readonly (readonly [string, string])[] = [
    [bytesOf(WEIGHTS), "the backup has not the right bytes"],
    [join(folder, "backup", "backup.sealed"), "the sealed bytes were changed"],
    [
      join(folder, "backup", "metadata-copies", (await readdir(join(folder, "backup", "metadata-copies")))[0] ?? "", "data.mdb"),
      "not those that it was made with",
    ],
  ];
  for (const [path, words] of changes) {
    const flip = (): Promise<void> => overwrite(path, (bytes) => bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1));
    await flip();
    await expect(checkBackup(backup, PASSPHRASE)).rejects.toThrow(words);
    await expect(restoring()).rejects.toThrow(words);
    await expect(stat(join(into(), "metadata", "data.mdb"))).rejects.toThrow("ENOENT");
    await rm(into(), { recursive: true, force: true });
    await flip();
  }
  await restoring();
  expect(await servedThere()).toBe(200);
  await expect(restoring()).rejects.toThrow("is not empty");
});

async function login(to: TestRegistry): Promise<string> {
  const answer = await to.fetchAs("runtime", `/auth/token?service=${to.host}&scope=repository:${HERE}:pull`);
  return ((await answer.json()) as { token: string }).token;
}

test("logins of before end by a restore, and keys go on", async () => {
  const { credentials } = registry;
  const token = await login(registry);
  await backUp(registry.services, backup, PASSPHRASE);
  await restoring();
  const restored = await startTestRegistry({ directory: into() });
  const ask = (authorization: string): Promise<Response> =>
    fetch(`${restored.url}/v2/${HERE}/manifests/v1`, { headers: { authorization } });
  expect((await ask(`Bearer ${token}`)).status).toBe(401);
  expect((await ask(`Bearer ${await login(restored)}`)).status).toBe(200);
  expect((await ask(`Basic ${Buffer.from(`runtime:${credentials.runtime}`).toString("base64")}`)).status).toBe(200);
  await restored.stop();
});

test("no registry begins anew with the secrets of the restored one where a restore ended while it wrote them", async () => {
  await backUp(registry.services, backup, PASSPHRASE);
  const content = await backup.read(PASSPHRASE);
  // No file can have this name: what is written before it stays, as when the process is killed there.
  const secrets = { ...content.secrets, [`credentials/${"x".repeat(300)}`]: "" };
  await expect(RestoredDirectory.begin(backup, { ...content, secrets }, into())).rejects.toThrow("ENAMETOOLONG");
  expect(await readdir(join(into(), "metadata"))).toContain("secret");
  await expect(openDataDirectory(into())).rejects.toThrow("holds a restore that did not come to its end");
});
