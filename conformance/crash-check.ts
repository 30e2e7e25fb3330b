import { createHash } from "node:crypto";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { stateSchema } from "../src/lifecycle/state.ts";
import type { AuditReader } from "./crash-audit.ts";
import { readAsRuntime } from "./crash-client.ts";
import { ACTORS, type RepositoryTruth, STATUS, type Seen, textOf } from "./crash-truth.ts";
import { resume } from "./crash-uploads.ts";
import { must } from "./must.ts";
import type { Wire } from "./wire.ts";

/** What became of the requests that kills cut. */
export interface Doubts {
  done: number;
  notDone: number;
  uploadsResumed: number;
}

const artifact = z.object({
  digest: z.string(),
  state: stateSchema,
  sequence: z.number(),
  tags: z.array(z.string()),
  promoted_tags: z.array(z.string()),
});
const page = z.object({ artifacts: z.array(artifact), next: z.null() });
const tagList = z.object({ tags: z.array(z.string()) });
const catalog = z.object({ repositories: z.array(z.string()) });

/** Throws unless a registry that was just started is as everything acknowledged says, with whatever a kill cut done or not done. */
export async function checkAll(truths: readonly RepositoryTruth[], wire: Wire, audit: AuditReader, root: string): Promise<Doubts> {
  const doubts: Doubts = { done: 0, notDone: 0, uploadsResumed: 0 };
  for (const truth of truths) await recognize(truth, wire, doubts);
  const events = await audit.readOn(wire);
  for (const truth of truths) {
    const [wanted, got] = [truth.takeEvents(), events.get(truth.name) ?? []];
    must(wanted.join("\n") === got.join("\n"), `the audit of ${truth.name} tells\n${got.join("\n")}\ninstead of\n${wanted.join("\n")}`);
  }
  await checkTrustedFolders(truths, root);
  await checkBlobFiles(root);
  await Promise.all(
    truths.map(async (truth) => {
      await checkRuntimeView(truth, wire);
      await checkContent(truth, wire);
      for (const upload of truth.uploads) if ((await resume(truth, wire, upload)) !== undefined) doubts.uploadsResumed += 1;
      truth.touched.clear();
    }),
  );
  await checkCatalog(truths, wire);
  return doubts;
}

async function recognize(truth: RepositoryTruth, wire: Wire, doubts: Doubts): Promise<void> {
  const seen = await see(truth, wire);
  const verdict = truth.recognize(seen);
  must(verdict !== undefined, `${truth.name} is\n${textOf(seen)}\ninstead of\n${truth.describe()}`);
  if (verdict === "done") doubts.done += 1;
  if (verdict === "not done") doubts.notDone += 1;
}

async function see({ name }: RepositoryTruth, wire: Wire): Promise<Seen> {
  const answer = await wire.ask("operator", "GET", `/v1/artifacts?repository=${name}&limit=1000`);
  must(answer.status === 200, `the list of ${name} was answered by ${answer.status}`);
  const { artifacts } = page.parse(JSON.parse(answer.body.toString()));
  return {
    states: new Map(artifacts.map(({ digest, state, sequence }) => [digest, `${state} ${sequence}`])),
    pushed: new Map(artifacts.flatMap(({ digest, tags }) => tags.map((tag) => [tag, digest] as const))),
    promoted: new Map(artifacts.flatMap(({ digest, promoted_tags: tags }) => tags.map((tag) => [tag, digest] as const))),
  };
}

/** What a runtime gets of all artifacts that something was done to, and of those that are there, by digest and by tag. */
async function checkRuntimeView(truth: RepositoryTruth, wire: Wire): Promise<void> {
  const { name, model, repository } = truth;
  const there = repository.present.map(({ definition }) => definition.digest);
  for (const digest of new Set([...truth.touched, ...there])) {
    const known = truth.models.get(digest);
    if (known !== undefined) await readAsRuntime(truth, wire, known);
  }
  for (const [tag, digest] of repository.promoted) {
    const status = STATUS[model.manifest(ACTORS.runtime, repository, digest)];
    const got = await wire.ask("runtime", "GET", `/v2/${name}/manifests/${tag}`);
    must(got.status === status, `the runtime got ${got.status} instead of ${status} for ${name}:${tag}`);
    must(
      status !== 200 || got.headers["docker-content-digest"] === digest,
      `the runtime got another digest than ${digest} as ${name}:${tag}`,
    );
  }
  const list = await wire.ask("runtime", "GET", `/v2/${name}/tags/list`);
  const tags = list.status === 200 ? tagList.parse(JSON.parse(list.body.toString())).tags : [];
  const wanted = model.tags(ACTORS.runtime, repository) ?? [];
  must(tags.toSorted().join() === wanted.join(), `the runtime sees the tags ${tags.join()} in ${name} instead of ${wanted.join()}`);
}

/** Everything acknowledged that was not taken away is there for who may see it, with the right bytes. */
async function checkContent(truth: RepositoryTruth, wire: Wire): Promise<void> {
  const { name, repository } = truth;
  for (const { definition } of repository.present) {
    const { digest } = definition;
    const known = truth.models.get(digest);
    if (known === undefined || !truth.touched.has(digest)) continue;
    const got = await wire.ask("operator", "GET", `/v2/${name}/manifests/${digest}`);
    must(got.status === 200 && got.body.toString() === known.manifest, `the manifest ${digest} of ${name} was answered by ${got.status}`);
    for (const blob of known.blobs) {
      const answer = await wire.ask("operator", "GET", `/v2/${name}/blobs/${blob.digest}`);
      const isRight = answer.status === 200 && answer.body.equals(blob.bytes);
      must(isRight, `the blob ${blob.digest} of ${name} was answered by ${answer.status}, or with other bytes`);
    }
  }
}

async function checkCatalog(truths: readonly RepositoryTruth[], wire: Wire): Promise<void> {
  const answer = await wire.ask("runtime", "GET", "/v2/_catalog");
  const { repositories } = catalog.parse(JSON.parse(answer.body.toString()));
  const wanted = truths.filter(({ model, repository }) => model.sees(ACTORS.runtime, repository)).map(({ name }) => name);
  must(
    repositories.join() === wanted.toSorted().join(),
    `the runtime sees the repositories ${repositories.join()} instead of ${wanted.join()}`,
  );
}

/** `trusted/` holds what is trusted, and nothing besides. */
export async function checkTrustedFolders(truths: readonly RepositoryTruth[], root: string): Promise<void> {
  const wanted = truths.flatMap((truth) =>
    truth.model.runtime(truth.repository).flatMap(({ definition }) => {
      const folder = `${truth.name}/${definition.digest.replace(":", "-")}`;
      return [...(truth.models.get(definition.digest)?.files ?? [])].map(([file, digest]) => `${folder}/${file} ${digest}`);
    }),
  );
  const got = await Promise.all(
    (await filesBelow(join(root, "trusted"))).map(async (file) => `${file} ${await digestOfFile(join(root, "trusted", file))}`),
  );
  const [more, less] = [got.filter((line) => !wanted.includes(line)), wanted.filter((line) => !got.includes(line))];
  must(more.length + less.length === 0, `trusted/ has ${more.join(", ") || "nothing"} too much, and lacks ${less.join(", ") || "nothing"}`);
}

/** No file stands under a digest that is not that of its bytes. */
async function checkBlobFiles(root: string): Promise<void> {
  for (const file of await filesBelow(join(root, "blobs"))) {
    const [algorithm, , encoded] = file.split("/");
    if (encoded === undefined) continue;
    const digest = await digestOfFile(join(root, "blobs", file), algorithm);
    // What is collected just now is gone by now.
    must(digest === undefined || digest === `${algorithm}:${encoded}`, `blobs/${file} holds the bytes of ${digest}`);
  }
}

/** All files below a folder, by their relative paths; what is removed meanwhile may be among them or not. */
export async function filesBelow(folder: string, below = ""): Promise<readonly string[]> {
  const entries = await readdir(join(folder, below), { withFileTypes: true }).catch(() => []);
  const found = entries.map(async (entry) => {
    const path = join(below, entry.name);
    return entry.isDirectory() ? filesBelow(folder, path) : [path];
  });
  return (await Promise.all(found)).flat();
}

async function digestOfFile(path: string, algorithm = "sha256"): Promise<string | undefined> {
  const bytes = await readFile(path).catch(() => undefined);
  return bytes && `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;
}
