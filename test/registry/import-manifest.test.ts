import { chmod, readFile, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type ModelEvent, modelEventJson } from "../../src/audit/model-event.ts";
import { FirstModelsError } from "../../src/registry/first-models-file.ts";
import { StorageFullError } from "../../src/storage/blob-store.ts";
import { Beginning, cutting } from "../support/first-models.ts";
import { chainOf, linked, manifestText, promoted, recordOf } from "../support/model-chains.ts";
import { sha256Of } from "../support/models.ts";

// Each model is several durable changes.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let here: Beginning;
beforeEach(async () => {
  here = await Beginning.start();
});
afterEach(() => here[Symbol.asyncDispose]());

type Chained = ModelEvent["artifact"];

/** A record whose file holds its name. */
function named(name: string, over: Partial<Chained> = {}): Chained {
  return recordOf(name, { sha256: sha256Of(name), size_bytes: name.length, ...over });
}

async function put(...names: readonly string[]): Promise<void> {
  for (const name of names) await here.models.put(`${name}.gguf`, name);
}

/** Puts the predecessor's own copies there. */
async function putObjects(...names: readonly string[]): Promise<void> {
  for (const name of names) await here.models.put(promoted(named(name)).object_path ?? "", name);
}

async function auditText(): Promise<string[]> {
  const { text } = await here.models.ask("GET", "/v1/audit");
  return text
    .trim()
    .slice(1, -1)
    .split(/,(?=\{"sequence":)/)
    .filter((event) => event !== "");
}

function inState(record: Chained, state: Chained["state"]): Chained {
  return { ...record, state };
}

/** Writes a manifest of the older layout; its digest. */
function older(...models: readonly object[]): Promise<string> {
  return here.manifest(JSON.stringify({ version: 1, models }));
}

/** Begins, and ends with an error at the nth change of what is registered. */
async function cutAfter(changes: number): Promise<void> {
  await here
    .begin({}, ({ metadata }) => ({ metadata: cutting(metadata, changes) }))
    .catch((error: unknown) => {
      if (!(error instanceof FirstModelsError) && !(error instanceof StorageFullError)) throw error;
    });
}

describe("a manifest with its history", () => {
  test("comes in with states, times and evidence, by a decision that names the file", async () => {
    await put("a", "q", "t", "r", "n");
    await putObjects("t", "r", "d");
    const evidence = { scan_results: { yara: "pass" }, scanner_versions: { yara: "4" }, policy_version: "7", source: "https://ex.test" };
    const [t, r, d] = [promoted(named("t", evidence)), promoted(named("r")), promoted(named("d"))];
    const events = chainOf(
      ...["a", "q", "n", "t", "r", "d"].map((name) => named(name, name === "t" ? evidence : {})),
      ...[named("q"), named("t", evidence), named("r"), named("d")].map((record) => inState(record, "quarantined")),
      t,
      r,
      d,
      inState(r, "revoked"),
      inState(d, "deleted"),
      inState(named("n"), "revoked"),
    );
    const digest = await here.manifest(manifestText(events));
    await here.begin();
    expect(await here.states()).toEqual({ a: "acquired", q: "quarantined", t: "trusted", r: "revoked", d: "deleted", n: "revoked" });
    expect((await here.list())["t"]).toMatchObject({ ...evidence, promoted_at: t.promoted_at, size_bytes: 1, filename: "t.gguf" });
    const { t: model } = await here.list();
    const record = await here.models.ask("GET", `/v1/artifacts/${model?.repository ?? ""}@${model?.digest ?? ""}`, { as: "operator" });
    expect(record.json()).toMatchObject({ policy: `predecessor-manifest@${digest}`, changed_at: t.promoted_at.replace("Z", ".000Z") });
    expect(await here.models.byName("GET", "/v1/model/path", "t")).toMatchObject({ status: 200 });
    // Readers are told of what was trusted once, and of nothing else.
    const pulled = async (name: string): Promise<number> =>
      (await here.models.ask("GET", `/v2/models/${name}/manifests/latest`, { as: "runtime" })).status;
    expect([await pulled("t"), await pulled("r"), await pulled("n"), await pulled("q"), await pulled("d")]).toEqual([
      200, 403, 404, 404, 404,
    ]);
    expect(await here.refusals()).toEqual([]);
    expect(await here.faults()).toEqual([]);
  });

  test("is the first part of the audit chain, byte by byte, which goes on from there", async () => {
    await put("a");
    await putObjects("b");
    const events = chainOf(named("a"), promoted(named("b")));
    await here.manifest(manifestText(events));
    await here.begin();
    expect(await auditText()).toEqual(events.map(modelEventJson));
    await here.models.must("quarantine", "a");
    const [, , third = ""] = await auditText();
    expect(JSON.parse(third)).toMatchObject({ sequence: 3, action: "quarantine", prev_hash: events[1]?.hash });
    expect(await here.faults()).toEqual([]);
  });

  test("is the predecessor's own example", async () => {
    const RECORD = recordOf("Tiny <A&B> é\u2028\tx", { filename: "t.gguf", source: "https://ex.test/a?b=1&c=2" });
    const times = ["2026-11-22T22:42:02.958711386Z", "2026-11-22T22:42:02.972810008Z"] as const;
    const [acquired, quarantined] = chainOf(RECORD, inState(RECORD, "quarantined")) as [ModelEvent, ModelEvent];
    const first = linked(undefined, { ...acquired, timestamp: times[0] });
    const second = linked(first, { ...quarantined, timestamp: times[1] });
    expect([first.hash, second.hash]).toEqual([
      "eafc55e5f22c1cdd7b8814b6f5b7ffc24496936464f8b4eaefbe8ff4af2fbabf",
      "f2e3680d9e506abef5bae74c948fc1e4ee71444a984cafc99efde02de3152df2",
    ]);
    await here.manifest(manifestText([first, second]));
    await here.begin();
    expect(await here.states()).toEqual({ [RECORD.name]: "quarantined" });
    expect((await auditText()).map((line) => (JSON.parse(line) as ModelEvent).hash)).toEqual([first.hash, second.hash]);
  });

  test("has its own copy of the bytes taken, and the file only where there is none", async () => {
    await here.models.put("a.gguf", "changed since");
    await putObjects("a");
    await here.manifest(manifestText(chainOf(promoted(named("a")))));
    await here.begin();
    const { path } = (await here.models.byName("GET", "/v1/model/path", "a")).json() as { path: string };
    expect(await readFile(path, "utf8")).toBe("a");
    expect(await readFile(here.models.at("a.gguf"), "utf8")).toBe("changed since");
  });

  test("holds back what it calls trusted where the bytes are not there, and says so in every record", async () => {
    await here.models.put("wrong.gguf", "other bytes");
    const [gone, wrong] = [promoted(named("gone")), promoted(named("wrong"))];
    const events = chainOf(gone, wrong);
    await here.manifest(manifestText(events));
    await here.begin();
    expect(await here.states()).toEqual({ gone: "quarantined", wrong: "quarantined" });
    expect(await here.refusals()).toEqual([
      expect.stringMatching(/^gone: it is held back as quarantined: .*no such file/),
      expect.stringMatching(/^wrong: it is held back as quarantined: /),
    ]);
    expect((await auditText()).slice(2).map((line) => JSON.parse(line) as ModelEvent)).toMatchObject([
      { action: "quarantine", name: "gone", from_state: "trusted", to_state: "quarantined" },
      { action: "quarantine", name: "wrong", from_state: "trusted", to_state: "quarantined" },
    ]);
    expect(await here.models.byName("GET", "/v1/model/path", "gone")).toMatchObject({ status: 403 });
    expect(await here.faults()).toEqual([]);
    // Once the bytes are back the name is whole again.
    await put("gone");
    await here.models.acquire("gone", "gone.gguf", { sha256: sha256Of("gone") });
    await here.models.promote("gone", "gone.gguf", sha256Of("gone"));
    expect(await here.models.byName("GET", "/v1/model/path", "gone")).toMatchObject({ status: 200 });
  });

  test("keeps states for which no bytes are needed", async () => {
    const trusted = promoted(named("r"));
    await here.manifest(
      manifestText(chainOf(named("a"), trusted, inState(trusted, "revoked"), named("d"), inState(named("d"), "deleted"))),
    );
    await here.begin();
    expect(await here.states()).toEqual({ a: "acquired", r: "revoked", d: "deleted" });
    expect(await here.refusals()).toEqual([]);
    expect(await here.faults()).toEqual([]);
  });

  test("frees the file of what is deleted for another name, whichever comes first", async () => {
    await here.models.put("x.gguf", "new");
    const [old, fresh] = [named("old", { filename: "x.gguf" }), named("new", { filename: "x.gguf" })];
    await here.manifest(manifestText(chainOf(fresh, old, inState(old, "deleted"))));
    await here.begin();
    expect(await here.states()).toEqual({ old: "deleted", new: "acquired" });
    expect(await here.faults()).toEqual([]);
  });

  test("refuses alone what cannot be registered here, and keeps what was audited of it", async () => {
    await here.models.put("x.gguf", "first");
    const events = chainOf(
      named("first", { filename: "x.gguf" }),
      named("alias", { filename: "./x.gguf" }),
      named("own", { filename: "blobs/own.gguf" }),
    );
    await here.manifest(manifestText(events));
    await here.begin();
    expect(await here.states()).toEqual({ first: "acquired" });
    expect(await here.refusals()).toEqual([
      "alias: artifact name or filename is already registered",
      "own: invalid filename: filename names a folder of the registry itself",
    ]);
    expect(await auditText()).toEqual(events.map(modelEventJson));
  });
});

describe("a manifest that does not hold registers nothing, loudly", () => {
  test.each<[string, () => Promise<unknown>, string | RegExp]>([
    [
      "in which a record was changed",
      () => here.manifest(manifestText(chainOf(named("a"))).replaceAll("a.gguf", "b.gguf")),
      "audit chain break at event 1",
    ],
    [
      "whose records are not those of its history",
      () => here.manifest(manifestText(chainOf(named("a")), [named("b")])),
      /full audit replay$/,
    ],
    ["that is none", () => here.manifest("{"), /not JSON/],
    [
      "that others can write",
      async () => {
        await here.manifest(manifestText(chainOf(named("a"))));
        await chmod(here.models.at("manifest.json"), 0o666);
      },
      /can be written by others/,
    ],
    [
      "in a directory that others can write",
      async () => {
        await here.manifest(manifestText(chainOf(named("a"))));
        await chmod(here.models.registry.directory, 0o777);
      },
      /its folder can be written by others/,
    ],
  ])("%s", async (_, spoil, words) => {
    await put("a", "b");
    await spoil();
    await here.lock(JSON.stringify({ version: 1, models: [{ name: "b", filename: "b.gguf", sha256: sha256Of("b") }] }));
    await here.begin();
    expect(await here.refusals()).toEqual([expect.stringMatching(words)]);
    // Nor is the lock file applied beside it (RULES 25).
    expect(await here.states()).toEqual({});
    expect(await auditText()).toEqual([]);
  });

  test("and is imported once it is mended", async () => {
    await put("a");
    await here.manifest("{");
    await here.begin();
    await here.manifest(manifestText(chainOf(named("a"))));
    await here.begin();
    expect(await here.states()).toEqual({ a: "acquired" });
  });
});

describe("a manifest without history", () => {
  test("is not believed what it calls trusted, and is what it calls revoked or deleted", async () => {
    await put("a", "t", "s", "q", "r");
    const { state, ...stateless } = named("s");
    expect(state).toBe("acquired");
    await older(
      named("a"),
      inState(named("t"), "trusted"),
      stateless,
      ...(["quarantined", "revoked", "deleted"] as const).map((each) => inState(named(each.charAt(0)), each)),
    );
    await here.begin();
    expect(await here.states()).toEqual({ a: "acquired", t: "acquired", s: "acquired", q: "acquired", r: "revoked", d: "deleted" });
    expect((await auditText()).map((line) => (JSON.parse(line) as ModelEvent).action)).toEqual(
      Array.from({ length: 6 }, () => "bootstrap"),
    );
    expect(await here.faults()).toEqual([]);
  });

  test("is believed when the operator says so", async () => {
    await put("t", "s", "q");
    const { state, ...stateless } = named("s", { promoted_at: "2025-01-02T03:04:05Z" });
    expect(state).toBe("acquired");
    const digest = await older(
      inState(named("t"), "trusted"),
      stateless,
      inState(named("q"), "quarantined"),
      inState(named("missing"), "trusted"),
    );
    await here.begin({ believeStates: true });
    expect(await here.states()).toEqual({ t: "trusted", s: "trusted", q: "quarantined", missing: "quarantined" });
    const { s } = await here.list();
    expect(s).toMatchObject({ promoted_at: "2025-01-02T03:04:05Z" });
    expect(await here.audited("artifact.promote")).toMatchObject(
      [{}, {}].map(() => ({ after: { policy: `predecessor-manifest@${digest}` } })),
    );
    expect((await auditText()).map((line) => JSON.parse(line) as ModelEvent)).toMatchObject([
      { action: "bootstrap", name: "t", to_state: "trusted" },
      { action: "bootstrap", name: "s", to_state: "trusted" },
      { action: "bootstrap", name: "q", to_state: "quarantined" },
      { action: "bootstrap", name: "missing", to_state: "quarantined" },
    ]);
    expect(await here.faults()).toEqual([]);
  });

  test("may lack digests, and name files by absolute paths", async () => {
    await put("a", "b");
    await older({ ...named("a"), sha256: "", filename: here.models.at("a.gguf") }, { ...named("none"), sha256: "" });
    await here.begin();
    expect(await here.list()).toMatchObject({ a: { sha256: sha256Of("a"), filename: "a.gguf" } });
    expect(await here.refusals()).toEqual([expect.stringMatching(/^none: /)]);
  });
});

describe("once", () => {
  test("another manifest is reported and not read, and the first one stays where it is", async () => {
    await put("a", "b");
    const text = manifestText(chainOf(named("a")));
    await here.manifest(text);
    await here.begin();
    expect(await readFile(here.models.at("manifest.json"), "utf8")).toBe(text);
    const warned: unknown[] = [];
    const log = (): { log: never } => ({
      log: { ...here.models.registry.services.log, info: () => undefined, warn: (_: unknown, said: string) => warned.push(said) } as never,
    });
    await here.begin({}, log);
    expect(warned).toEqual([]);
    await here.manifest(manifestText(chainOf(named("a"), named("b"))));
    await here.begin({}, log);
    expect(warned).toEqual([expect.stringMatching(/^MANIFEST\.JSON IS NOT READ/)]);
    expect(await here.states()).toEqual({ a: "acquired" });
    expect(await auditText()).toHaveLength(1);
  });

  test("a store that holds something takes none", async () => {
    await put("a", "b");
    await here.models.acquire("a", "a.gguf");
    await here.manifest(manifestText(chainOf(named("b"))));
    await here.begin();
    expect(await here.states()).toEqual({ a: "acquired" });
    expect(await here.audited("registry.first-models")).toEqual([]);
  });

  test("an empty manifest is taken, and keeps the lock file out while it is there", async () => {
    await put("a");
    await here.lock(JSON.stringify({ version: 1, models: [{ name: "a", filename: "a.gguf", sha256: sha256Of("a") }] }));
    await here.manifest('{"version":1,"models":[]}');
    await here.begin();
    await here.begin();
    expect(await here.states()).toEqual({});
  });
});

describe("an import that is cut off", () => {
  const records = ["a", "b", "c"].map((name) => named(name));
  const text = manifestText(chainOf(...records, promoted(named("a")), inState(promoted(named("a")), "revoked"), promoted(named("b"))));
  beforeEach(async () => {
    await put("a", "b", "c");
    await here.manifest(text);
  });

  test.each([0, 1, 2, 3, 4, 5, 6, 7, 8])("after %i changes is gone on with by the next start", async (changes) => {
    await cutAfter(changes);
    await here.begin();
    expect(await here.states()).toEqual({ a: "revoked", b: "trusted", c: "acquired" });
    expect(await auditText()).toHaveLength(6);
    // This process lives on, and the rows of folders that it holds are left to it.
    expect((await here.faults()).filter((fault) => !fault.endsWith(" is pending"))).toEqual([]);
  });

  test("keeps the registry from starting with another file, whose links would follow half a chain", async () => {
    await cutAfter(3);
    await here.manifest(manifestText(chainOf(named("a"))));
    await expect(here.begin()).rejects.toThrow(
      /^the import of manifest\.json was cut off, and the file is not as it was: put back the one with the digest sha256:/,
    );
    await writeFile(here.models.at("manifest.json"), text);
    await here.begin();
    expect(await here.states()).toEqual({ a: "revoked", b: "trusted", c: "acquired" });
  });
});
