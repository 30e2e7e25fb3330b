import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { ERRORS } from "../../src/oci/errors.ts";
import { collectGarbage } from "../../src/jobs/collect-garbage.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import type { RepositoryName } from "../../src/oci/reference.ts";
import { repairRuntimeTree } from "../../src/registry/runtime-folders.ts";
import { storageFailure } from "../../src/registry/storage-failure.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { treePendingRecord } from "../../src/storage/records.ts";
import { callerWith } from "../support/callers.ts";
import { inspectingHere } from "../support/inspector.ts";
import { faultsOf } from "../support/invariants.ts";
import { type FaultCode, PortFaults } from "../support/port-faults.ts";
import { repository } from "../support/principal.ts";
import { type TestRegistry, startTestRegistry } from "../support/server.ts";
import { Transitions, digestIn, imageOf } from "../support/transitions.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const publisher = callerWith(["publisher@models"], { name: "publisher" });
const operator = callerWith(["operator@*"], { name: "operator" });
const IMAGE = "application/vnd.oci.image.manifest.v1+json";
/** `lasts`: every later call fails as well. */
interface Fault {
  readonly says: string;
  readonly code: FaultCode;
  readonly lasts: boolean;
}

const FAULTS: readonly Fault[] = [
  { says: "by EIO once", code: "EIO", lasts: false },
  { says: "by EIO from then on", code: "EIO", lasts: true },
  { says: "by ENOSPC from then on", code: "ENOSPC", lasts: true },
];
const STATUS: Readonly<Record<FaultCode, number>> = { EIO: 503, ENOSPC: 507 };

const faults = new PortFaults();
let registry: TestRegistry;
let at: Transitions;

/** A repository of its own, with a model in it that is not trusted, whose blobs nobody else has. */
interface Place {
  readonly name: RepositoryName;
  readonly content: string;
  readonly manifest: string;
  readonly digest: Digest;
}

interface Answered {
  readonly status: number;
  readonly text: string;
}

interface UseCase {
  /** What has to be there before. */
  readonly prepare?: (place: Place) => Promise<void>;
  readonly act: (place: Place) => Promise<Answered>;
  /** The status when it was done. */
  readonly done: number;
  readonly isDone: (place: Place) => Promise<boolean>;
}

async function ask(
  who: "publisher" | "operator" | "runtime" | "serviceToken",
  method: string,
  path: string,
  body?: string | object,
): Promise<Answered> {
  const isJson = typeof body === "object";
  const headers = isJson ? { "content-type": "application/json" } : {};
  const init = { method, headers, ...(body !== undefined && { body: isJson ? JSON.stringify(body) : body }) };
  const answer = await registry.fetchAs(who, path, init);
  return { status: answer.status, text: await answer.text() };
}

async function stateOf({ name, digest }: Place): Promise<string> {
  const { status, text } = await ask("operator", "GET", `/v1/artifacts/${name}@${digest}`);
  return status === 200 ? (JSON.parse(text) as { state: string }).state : String(status);
}

async function isThere({ name }: Place, content: string): Promise<boolean> {
  const { status, text } = await ask("operator", "GET", `/v2/${name}/blobs/${digestOf(content)}`);
  return status === 200 && text === content;
}

async function pushModel({ name, content, manifest }: Place): Promise<void> {
  for (const bytes of ["{}", content]) await at.blob(publisher, name, bytes);
  await at.manifest(publisher, name, JSON.parse(manifest) as object, "v1");
}

async function pushSmallModel({ name, content, manifest }: Place): Promise<void> {
  for (const bytes of ["{}", content]) await at.saidBlob(publisher, name, bytes);
  await at.manifest(publisher, name, JSON.parse(manifest) as object, "v1");
}

async function promoteModel(place: Place): Promise<void> {
  await pushModel(place);
  await at.promote(operator, place.name, place.digest);
}

/** Where an upload goes on, by the place that it belongs to. */
const locations = new Map<RepositoryName, string>();
const extra = ({ content }: Place): string => `extra ${content}`;

async function beginUpload({ name }: Place): Promise<void> {
  const answer = await registry.fetchAs("publisher", `/v2/${name}/blobs/uploads/`, { method: "POST" });
  locations.set(name, answer.headers.get("location") ?? "");
  await answer.body?.cancel();
}

/** How many bytes of its content an upload has, as its registry says; undefined when it is closed. */
async function offsetOf({ name }: Place): Promise<number | undefined> {
  const answer = await registry.fetchAs("publisher", locations.get(name) ?? "");
  if (answer.status === 404) return undefined;
  const location = answer.headers.get("location") ?? "";
  locations.set(name, location);
  return Number(new URL(location, registry.url).searchParams.get("_o"));
}

const act = (path: (place: Place) => string, method = "POST", body: object = {}) => {
  return (place: Place): Promise<Answered> => ask("operator", method, path(place), body);
};
const artifact = ({ name, digest }: Place): string => `/v1/artifacts/${name}@${digest}`;
const model = ({ content }: Place): string => content.replace(" ", "-");

const USE_CASES: Readonly<Record<string, UseCase>> = {
  "a collection of garbage": {
    prepare: async (place) => void (await at.blob(publisher, place.name, extra(place))),
    act: async () => {
      const { settings } = registry.services;
      const status = await collectGarbage(faults.around({ ...registry.services, settings: { ...settings, collectGrace: -1000 } })).then(
        () => 200,
        (error: unknown) => ERRORS[storageFailure(error)?.code ?? "INTERNAL"].status,
      );
      return { status, text: "" };
    },
    done: 200,
    isDone: async (place) => (await registry.services.blobs.stat(digestOf(extra(place)))) === undefined,
  },
  "the beginning of an upload": {
    act: ({ name }) => ask("publisher", "POST", `/v2/${name}/blobs/uploads/`),
    done: 202,
    isDone: () => Promise.resolve(false),
  },
  "a chunk of an upload": {
    prepare: beginUpload,
    act: (place) => ask("publisher", "PATCH", locations.get(place.name) ?? "", extra(place)),
    done: 202,
    isDone: async (place) => (await offsetOf(place)) === extra(place).length,
  },
  "the end of an upload": {
    prepare: beginUpload,
    act: async (place) => {
      const location = locations.get(place.name) ?? "";
      const rest = extra(place).slice(Number(new URL(location, registry.url).searchParams.get("_o")));
      return ask("publisher", "PUT", `${location}&digest=${digestOf(extra(place))}`, rest);
    },
    done: 201,
    isDone: async (place) => (await offsetOf(place)) === undefined && isThere(place, extra(place)),
  },
  "the end of an upload whose bytes are staged": {
    prepare: async (place) => {
      await beginUpload(place);
      await ask("publisher", "PATCH", locations.get(place.name) ?? "", extra(place));
      await offsetOf(place);
    },
    act: async (place) => ask("publisher", "PUT", `${locations.get(place.name) ?? ""}&digest=${digestOf(extra(place))}`),
    done: 201,
    isDone: async (place) => (await offsetOf(place)) === undefined && isThere(place, extra(place)),
  },
  "a blob in one request": {
    act: (place) => ask("publisher", "POST", `/v2/${place.name}/blobs/uploads/?digest=${digestOf(extra(place))}`, extra(place)),
    done: 201,
    isDone: (place) => isThere(place, extra(place)),
  },
  "a push of a manifest": {
    prepare: async ({ name, content }) => {
      for (const bytes of ["{}", content]) await at.blob(publisher, name, bytes);
    },
    act: async ({ name, manifest }) => {
      const init = { method: "PUT", headers: { "content-type": IMAGE }, body: manifest };
      const answer = await registry.fetchAs("publisher", `/v2/${name}/manifests/v1`, init);
      return { status: answer.status, text: await answer.text() };
    },
    done: 201,
    isDone: async ({ name, manifest }) => (await ask("publisher", "GET", `/v2/${name}/manifests/v1`)).text === manifest,
  },
  "a promotion": {
    prepare: pushModel,
    act: act((place) => `${artifact(place)}/promote`),
    done: 200,
    isDone: async (place) => (await stateOf(place)) === "trusted",
  },
  "a promotion of what are rows": {
    prepare: pushSmallModel,
    act: act((place) => `${artifact(place)}/promote`),
    done: 200,
    isDone: async (place) => (await stateOf(place)) === "trusted",
  },
  "a revocation": {
    prepare: promoteModel,
    act: act((place) => `${artifact(place)}/revoke`, "POST", { reason: "bad" }),
    done: 200,
    isDone: async (place) => (await stateOf(place)) === "revoked",
  },
  "a deletion": {
    prepare: promoteModel,
    act: act(artifact, "DELETE"),
    done: 200,
    isDone: async (place) => (await stateOf(place)) === "deleted",
  },
  "a move of a promoted tag": {
    prepare: promoteModel,
    act: ({ name, digest }) => ask("publisher", "PUT", `/v1/tags/${name}:stable/promoted`, { digest }),
    done: 200,
    isDone: async ({ name, manifest }) => (await ask("runtime", "GET", `/v2/${name}/manifests/stable`)).text === manifest,
  },
  "an acquisition of a file": {
    prepare: (place) => writeFile(join(registry.directory, `${model(place)}.gguf`), place.content),
    act: (place) => ask("serviceToken", "POST", "/v1/model/acquire", { name: model(place), filename: `${model(place)}.gguf` }),
    done: 201,
    isDone: async (place) => (await ask("serviceToken", "GET", `/v1/model?name=${model(place)}`)).status === 200,
  },
};

let places = 0;
async function newPlace(): Promise<Place> {
  const content = `weights ${(places += 1)}`;
  const title = { "org.opencontainers.image.title": "weights.bin" };
  const layer = { mediaType: "application/octet-stream", digest: digestOf(content), size: content.length, annotations: title };
  const manifest = imageOf([], { layers: [layer] });
  return { name: repository(`models/fault-${places}`), content, manifest: JSON.stringify(manifest), digest: digestIn(manifest) };
}

/** Waits until no folder of an artifact is held by this process, which is done with it. */
async function untilLetGo({ name, digest }: Place): Promise<void> {
  const isHeld = async (): Promise<boolean> => {
    const rows = await registry.services.metadata.list(under(keys.treesPendingOf(name, digest), 10));
    return rows.some(({ value }) => treePendingRecord.parse(value).process !== "");
  };
  while (await isHeld()) await sleep(10);
}

/** What is wrong after a failure, once a worker has started: rows, folders of `trusted/`, or what a runtime is served. */
async function wrongAt(place: Place): Promise<readonly string[]> {
  await untilLetGo(place);
  await repairRuntimeTree(registry.services);
  const { name, digest, content } = place;
  const faultsThere = await faultsOf(registry.services.metadata, name, registry.directory);
  const wanted = (await stateOf(place)) === "trusted" ? 200 : "refused";
  const got = [`manifests/${digest}`, `blobs/${digestOf(content)}`].map(async (path) => {
    const { status } = await ask("runtime", "GET", `/v2/${name}/${path}`);
    const is = status === 200 ? 200 : status === 403 || status === 404 ? "refused" : status;
    return is === wanted ? [] : [`the runtime got ${status} for ${path} instead of ${wanted}`];
  });
  return [...faultsThere, ...(await Promise.all(got)).flat()];
}

/** Lets calls fail, and says what is not as it should be; undefined when there were not so many calls. */
async function tryWith(useCase: UseCase, nth: number, { code, lasts }: Fault): Promise<readonly string[] | undefined> {
  const place = await newPlace();
  await useCase.prepare?.(place);
  faults.arm(nth, code, lasts);
  const first = await useCase.act(place);
  const failed = faults.disarm();
  const allowed = failed === undefined ? [useCase.done] : [useCase.done, STATUS[code]];
  const found = [
    ...(allowed.includes(first.status) ? [] : [`it is answered ${first.status} ${first.text}`]),
    ...(first.text.includes("secret") ? [`the answer tells ${first.text}`] : []),
    ...(await wrongAt(place)),
    ...(await wrongOfAnother(useCase, place)),
  ];
  if (failed === undefined && found.length === 0) return undefined;
  return found.map((wrong) => `when call ${nth} (${failed ?? "none"}) fails: ${wrong}`);
}

/** What is wrong when it is tried once more, unless it was done. */
async function wrongOfAnother(useCase: UseCase, place: Place): Promise<readonly string[]> {
  if (await useCase.isDone(place)) return [];
  const { status, text } = await useCase.act(place);
  const wrong = status === useCase.done ? [] : [`another try is answered ${status} ${text}`];
  return [...wrong, ...(await wrongAt(place)).map((each) => `after another try ${each}`)];
}

describe("a fault of the storage in any call, of", () => {
  let steady: Place;

  beforeAll(async () => {
    registry = await startTestRegistry({ around: (services) => faults.around(inspectingHere(services)) });
    at = Transitions.over(registry.directory, registry.services);
    steady = await newPlace();
    await promoteModel(steady);
  });

  afterAll(() => registry.stop());

  const cases = Object.keys(USE_CASES).flatMap((name) => FAULTS.map((fault) => [name, fault.says, fault] as const));
  test.each(cases)("%s, %s, is told as what it is, leaves nothing half done, and the next try does it", async (name, _says, fault) => {
    const useCase = USE_CASES[name];
    if (useCase === undefined) throw new TypeError("no such use case");
    const found: string[] = [];
    let nth = 1;
    for (; ; nth += 1) {
      const wrong = await tryWith(useCase, nth, fault);
      if (wrong === undefined || nth > 200) break;
      found.push(...wrong);
    }
    expect(found).toEqual([]);
    expect(nth).toBeGreaterThan(1);
    expect(await wrongAt(steady)).toEqual([]);
    expect(await stateOf(steady)).toBe("trusted");
  });
});
