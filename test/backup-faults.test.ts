import crypto from "node:crypto";
import { cpSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { runBackupCommand } from "../src/backup-command.ts";
import { digestOf } from "../src/oci/digest.ts";
import { refusal } from "../src/refusal.ts";
import { isSoundRow, keptBlobs } from "../src/registry/kept-blobs.ts";
import { DataDirectoryError, openDataDirectory } from "../src/storage/data-directory.ts";
import { blobPath } from "../src/storage/filesystem.ts";
import { keys, under } from "../src/storage/keys.ts";
import { openLmdb } from "../src/storage/lmdb.ts";
import { callerWith } from "./support/callers.ts";
import { type FileFault, FileFaults } from "./support/file-faults.ts";
import { HAS_DESCRIPTORS, PowerCut } from "./support/power-cut.ts";
import { repository } from "./support/principal.ts";
import { startTestRegistry } from "./support/server.ts";
import { Transitions, digestIn, imageOf } from "./support/transitions.ts";

vi.setConfig({ testTimeout: 300_000, hookTimeout: 60_000 });

const HERE = repository("models/here");
const CONTENTS = ["{}", "weights", "more weights"];
const MORE_THAN_THERE_ARE = 1000;

/** A folder with a registry, a backup of how it was earlier, and what they are tried in. */
const folder = mkdtempSync(join(tmpdir(), "amr-faults-"));
const at = (...path: string[]): string => join(folder, ...path);
const [data, earlier, whole] = [at("data"), at("earlier"), at("whole")];
let faults: FileFaults;
/** What a check says of the earlier backup, and of one that holds everything. */
let [saysEarlier, saysWhole] = ["", ""];

type Command = Parameters<typeof runBackupCommand>[0]["command"];

/** What a command came to: all that it says when it is done, or why it is not. */
interface Came {
  readonly said?: string;
  readonly refused?: string;
  /** It would end with a trace in place of words. */
  readonly thrown?: unknown;
}

async function run(command: Command, path: string, directory = data): Promise<Came> {
  vi.stubEnv("REGISTRY_DIR", directory);
  try {
    return { said: await runBackupCommand({ command, folder: path, passphraseFile: at("passphrase"), atLeast: 0 }) };
  } catch (error) {
    const refused = refusal(error);
    return refused === undefined ? { thrown: error } : { refused };
  }
}

async function check(path: string): Promise<Came> {
  return run("check-backup", path);
}

const stateOf = (said = ""): string => /up to audit event .*: \d+ blobs/.exec(said)?.[0] ?? said;

beforeAll(async () => {
  // What a guess at a passphrase costs is no matter here, and would be most of the time.
  const { scrypt } = crypto;
  crypto.scrypt = ((...[passphrase, salt, length, , done]: Parameters<typeof scrypt>) =>
    scrypt(passphrase, salt, length, { N: 2 }, done)) as typeof scrypt;
  syncBuiltinESMExports();
  await writeFile(at("passphrase"), "a-passphrase-of-the-test-that-is-long-enough", { mode: 0o600 });
  const registry = await startTestRegistry({ directory: data });
  const transitions = Transitions.over(data, registry.services);
  const [publisher, operator] = [callerWith(["publisher@models"], { name: "publisher" }), callerWith(["operator@*"], { name: "operator" })];
  for (const content of CONTENTS.slice(0, 2)) await transitions.blob(publisher, HERE, content);
  await run("backup", earlier);
  for (const content of CONTENTS.slice(2)) await transitions.blob(publisher, HERE, content);
  await transitions.saidBlob(publisher, HERE, "a row");
  await transitions.manifest(publisher, HERE, imageOf(["weights"]), "v1");
  await transitions.promote(operator, HERE, digestIn(imageOf(["weights"])));
  await registry.stop();
  await run("backup", whole);
  [saysEarlier, saysWhole] = [stateOf((await check(earlier)).said), stateOf((await check(whole)).said)];
  if (saysEarlier === "" || saysEarlier === saysWhole) throw new TypeError("the two backups are not what they have to be");
  faults = await FileFaults.begin([folder]);
});
afterAll(() => {
  vi.unstubAllEnvs();
  faults.end();
  rmSync(folder, { recursive: true, force: true });
});

/** What is wrong with how a command ended. */
function wrongWords({ said, refused, thrown }: Came): readonly string[] {
  if (thrown !== undefined) return [`it ends with a trace: ${inspect(thrown)}`];
  const words = said ?? refused ?? "";
  return [
    ...(/\/(?:metadata|credentials|blobs|uploads|trusted)|backup\.sealed/.test(words) ? [`it tells a path: ${words}`] : []),
    ...(refused?.includes("\n") === true ? [`it is not one sentence: ${words}`] : []),
  ];
}

/** A command that is tried in a place of its own. */
interface Trial {
  readonly command: (place: string) => Promise<Came>;
  /** What is in the place before; nothing when undefined. */
  readonly from?: string;
  /** What is wrong afterwards. */
  readonly wrong: (place: string, came: Came) => Promise<readonly string[]>;
}

function placeFrom(from: string | undefined): string {
  const place = mkdtempSync(at("tried-"));
  if (from !== undefined) cpSync(from, place, { recursive: true });
  return place;
}

/** The first operation of each kind on each kind of file that a command has, by their numbers: later ones are the same code. */
async function operationsOf({ command, from }: Trial, fault: FileFault): Promise<readonly number[]> {
  const place = placeFrom(from);
  faults.arm(MORE_THAN_THERE_ARE, fault);
  expect(await command(place)).toMatchObject({ said: expect.any(String) as unknown });
  faults.disarm();
  rmSync(place, { recursive: true });
  const kinds = faults.seen.map((name) =>
    name.replaceAll(/tried-\w+/g, "").replaceAll(/[0-9a-f-]{32,}|(?<=sha256\/)[0-9a-f]{2}|(?<=credentials\/).*/g, "*"),
  );
  const changes = /^(?:chmod|copyFile|fsync|mkdir|rename|rm|sync|unlink|write|writeFile) /;
  return kinds.flatMap((kind, n) => (kinds.indexOf(kind) === n && (fault === "fails" || changes.test(kind)) ? [n + 1] : []));
}

/** Tries a command with each of its operations failing; what is wrong with what came of it. */
async function tryEach(trial: Trial, fault: FileFault): Promise<readonly string[]> {
  const found: string[] = [];
  const operations = await operationsOf(trial, fault);
  expect(operations.length).toBeGreaterThan(1);
  for (const nth of operations) {
    const place = placeFrom(trial.from);
    faults.arm(nth, fault);
    const came = await trial.command(place);
    const failed = faults.disarm();
    faults.crash();
    const all = [...wrongWords(came), ...(await trial.wrong(place, came))];
    found.push(...all.map((each) => `${nth}, ${String(failed)}: ${each}`));
    rmSync(place, { recursive: true, force: true });
  }
  return found;
}

const BACKUP: Trial = {
  command: (place) => run("backup", place),
  from: earlier,
  wrong: async (place, came) => {
    const { said, refused } = await check(place);
    const isRight = stateOf(said) === saysWhole || (stateOf(said) === saysEarlier && came.said === undefined);
    const again = await run("backup", place);
    return [
      ...(isRight ? [] : [`a check says ${said ?? String(refused)}`]),
      ...(stateOf(again.said) === saysWhole ? [] : [`the next one comes to ${JSON.stringify(again)}`]),
      ...leftIn(place),
    ];
  },
};

const CHECK: Trial = {
  command: check,
  from: earlier,
  wrong: async (place, came) => [
    ...(came.said === undefined || stateOf(came.said) === saysEarlier ? [] : [`it says ${came.said}`]),
    ...(stateOf((await check(place)).said) === saysEarlier ? [] : ["the next one does not find it whole"]),
  ],
};

const RESTORE: Trial = {
  command: (place) => run("restore", whole, join(place, "data")),
  wrong: async (place, came) => {
    const wrong = await wrongRegistry(join(place, "data"), came.said !== undefined);
    const again = await run("restore", whole, join(place, "data"));
    const isTold = /: empty it, and run it again|is restored into an empty data directory only/.test(again.refused ?? "");
    return [...wrong, ...(again.said !== undefined || isTold ? [] : [`the next one comes to ${JSON.stringify(again)}`])];
  },
};

/** What no backup needs; a file that this process was writing goes when it has ended. */
function leftIn(backup: string): readonly string[] {
  const names = [...readdirSync(backup), ...readdirSync(join(backup, "metadata-copies"))].filter((name) => !name.startsWith(".new."));
  return names.length === 4 ? [] : [`there are ${names.toSorted().join(" ")}`];
}

/** What is wrong with a data directory that a restore has left: a registry over it has everything, or does not start. */
async function wrongRegistry(directory: string, isDone: boolean): Promise<readonly string[]> {
  const metadata = join(directory, "metadata");
  if (existsSync(join(metadata, "data.mdb"))) return wrongContent(directory);
  if (isDone) return ["it is done, and is no registry"];
  if (!existsSync(join(metadata, "secret")) && !existsSync(join(directory, "credentials", "operator"))) return [];
  const opened = await openDataDirectory(directory).catch((error: unknown) => error);
  return opened instanceof DataDirectoryError ? [] : ["a registry would begin anew there, with the secrets of this one"];
}

async function wrongContent(directory: string): Promise<readonly string[]> {
  const metadata = await openLmdb(join(directory, "metadata"));
  try {
    const restored = await metadata.list({ ...under(keys.audits(), 10), reverse: true });
    const wrong = JSON.stringify(restored).includes("registry.restore") ? [] : ["the audit does not tell of it"];
    for await (const { digest } of keptBlobs(metadata)) {
      const path = blobPath(join(directory, "blobs"), digest);
      const isSound = (await isSoundRow(metadata, digest)) ?? (existsSync(path) && digestOf(readFileSync(path)) === digest);
      if (!isSound) wrong.push(`it has not ${digest}`);
    }
    return wrong;
  } finally {
    await metadata.close();
  }
}

describe.runIf(HAS_DESCRIPTORS)("with any operation on a file failing, or all from it on,", () => {
  const cases = [
    ["backup", BACKUP, "the earlier one or this one is whole, and the next one succeeds"],
    ["check-backup", CHECK, "nothing is called whole that is not, and nothing is changed"],
    ["restore", RESTORE, "there is all of the registry or none that starts, and the next one succeeds or says what to do"],
  ] as const;
  test.each(cases)("%s says so in a sentence without paths: $2", async (_, trial) => {
    expect(await tryEach(trial, "fails")).toEqual([]);
    expect(await tryEach(trial, "fails from then on")).toEqual([]);
  });

  test("no rename that is lost, though it was reported done, makes a backup that a check calls whole and is not", async () => {
    expect(await tryEach({ ...BACKUP, wrong: wrongOfLost }, "is lost")).toEqual([]);
  });

  test("no rename that is lost makes a registry that starts with less than the backup says", async () => {
    const lost = await tryEach({ ...RESTORE, wrong: (place) => wrongRegistry(join(place, "data"), false) }, "is lost");
    // The disk forgot bytes that it had called durable: what reads them finds out.
    expect(lost.filter((wrong) => !/rename \S+\/blobs\/\S+: it has not sha/.test(wrong))).toEqual([]);
  });

  test("writes that put less than they were given lose nothing", async () => {
    const place = placeFrom(earlier);
    faults.writeHalves();
    const came = await run("backup", place);
    const restored = await run("restore", place, join(place, "data"));
    faults.disarm();
    expect([came.refused, restored.refused]).toEqual([undefined, undefined]);
    expect(stateOf((await check(place)).said)).toBe(saysWhole);
    expect(await wrongRegistry(join(place, "data"), true)).toEqual([]);
  });
});

/** With the disk having told a lie, a check may find fault with the backup; the next one makes it good. */
async function wrongOfLost(place: string): Promise<readonly string[]> {
  const { said, refused } = await check(place);
  const isTold = [saysWhole, saysEarlier].includes(stateOf(said)) || /make a new one|back up again/.test(refused ?? "");
  const again = await run("backup", place);
  return [
    ...(isTold ? [] : [`a check says ${said ?? String(refused)}`]),
    ...(stateOf(again.said) === saysWhole && stateOf((await check(place)).said) === saysWhole ? [] : ["the next one is not whole"]),
  ];
}

/** What a look at each state finds that a power cut may leave of a place while a command runs. */
async function afterEachCut(from: string | undefined, command: Trial["command"], look: (left: string) => Promise<readonly string[]>) {
  const place = placeFrom(from);
  faults.end();
  const cut = await PowerCut.begin([place]);
  const found: string[] = [];
  try {
    cut.keepMoments();
    expect(await command(place)).toMatchObject({ said: expect.any(String) as unknown });
    expect(cut.moments.length).toBeGreaterThan(10);
    // The look flushes, too.
    for (const moment of cut.moments.slice()) {
      const left = placeFrom(undefined);
      await cut.leave(place, left, moment);
      found.push(...(await look(left)));
      rmSync(left, { recursive: true });
    }
  } finally {
    cut.end();
    faults = await FileFaults.begin([folder]);
  }
  return found;
}

describe.runIf(HAS_DESCRIPTORS)("after a power cut at any flush, whichever names are durable by then,", () => {
  test("a check calls a backup whole when it is the earlier one or all of this one, and nothing else", async () => {
    const said = await afterEachCut(earlier, BACKUP.command, async (left) => [stateOf((await check(left)).said)]);
    expect([...new Set(said)]).toEqual([saysEarlier, saysWhole]);
  });

  test("what a restore has left is all of the registry, or does not start", async () => {
    expect(await afterEachCut(undefined, RESTORE.command, (left) => wrongRegistry(join(left, "data"), false))).toEqual([]);
  });
});
