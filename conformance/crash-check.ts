import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { stateSchema } from "../src/lifecycle/state.ts";
import type { Digest } from "../src/oci/digest.ts";
import { blobRowsIn } from "./blob-rows.ts";
import type { AuditReader } from "./crash-audit.ts";
import { readAsRuntime } from "./crash-client.ts";
import { ACTORS, type RepositoryTruth, STATUS, type Seen, textOf } from "./crash-truth.ts";
import { resume } from "./crash-uploads.ts";
import { FileDigests } from "./file-digests.ts";
import { must } from "./must.ts";
import type { Wire } from "./wire.ts";

/** What became of the requests that kills cut. */
export interface Doubts {
  done: number;
  notDone: number;
  uploadsResumed: number;
}

/** What is known of a registry, and where its data are. */
export interface Known {
  readonly truths: readonly RepositoryTruth[];
  readonly audit: AuditReader;
  readonly folder: string;
}

/** How much is looked at: the states, tags and events of everything, all names of files, and of bytes and of what is served so much. */
export interface Scope {
  /** Artifacts of a repository that are read by their readers, whole. */
  readonly artifacts: (truth: RepositoryTruth) => ReadonlySet<Digest>;
  readonly digests: FileDigests;
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

/** Looks at everything that is there, or that something was done to since this was looked at last. */
export async function checkAll(known: Known, wire: Wire): Promise<Doubts> {
  const doubts = await check(known, wire, {
    artifacts: (truth) => new Set([...truth.touched, ...truth.present]),
    digests: new FileDigests(),
  });
  for (const { touched, recent } of known.truths) for (const those of [touched, recent]) those.clear();
  return doubts;
}

/** Throws unless a registry that was just started is as everything acknowledged says, with whatever a kill cut done or not done. */
export async function check({ truths, audit, folder }: Known, wire: Wire, scope: Scope): Promise<Doubts> {
  const doubts: Doubts = { done: 0, notDone: 0, uploadsResumed: 0 };
  for (const truth of truths) await recognize(truth, wire, doubts);
  const events = await audit.readOn(wire);
  for (const truth of truths) {
    const [wanted, got] = [truth.takeEvents().toSorted(), events.get(truth.name) ?? []];
    must(wanted.join("\n") === got.join("\n"), `the audit of ${truth.name} tells\n${got.join("\n")}\ninstead of\n${wanted.join("\n")}`);
  }
  await checkTrustedFolders(truths, folder, scope.digests);
  await checkBlobs(truths, folder, scope.digests);
  await Promise.all(
    truths.map(async (truth) => {
      const artifacts = scope.artifacts(truth);
      await checkRuntimeView(truth, wire, artifacts);
      await checkContent(truth, wire, artifacts);
      for (const upload of truth.uploads) if ((await resume(truth, wire, upload)) !== undefined) doubts.uploadsResumed += 1;
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

/** What a runtime gets of these artifacts by their digests, and of all by their tags. */
async function checkRuntimeView(truth: RepositoryTruth, wire: Wire, artifacts: ReadonlySet<Digest>): Promise<void> {
  const { name, model, repository } = truth;
  for (const digest of artifacts) {
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

/** Whatever of these artifacts was acknowledged and not taken away is there for who may see it, with the right bytes. */
async function checkContent(truth: RepositoryTruth, wire: Wire, artifacts: ReadonlySet<Digest>): Promise<void> {
  const { name } = truth;
  for (const digest of truth.present) {
    const known = truth.models.get(digest);
    if (known === undefined || !artifacts.has(digest)) continue;
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
export async function checkTrustedFolders(
  truths: readonly RepositoryTruth[],
  root: string,
  digests: FileDigests = new FileDigests(),
): Promise<void> {
  const wanted = truths.flatMap((truth) =>
    truth.model.runtime(truth.repository).flatMap(({ definition }) => {
      const folder = `${truth.name}/${definition.digest.replace(":", "-")}`;
      return [...(truth.models.get(definition.digest)?.files ?? [])].map(([file, digest]) => `${folder}/${file} ${digest}`);
    }),
  );
  const got = await Promise.all(
    (await filesBelow(join(root, "trusted"))).map(async (file) => `${file} ${await digests.of(join(root, "trusted", file))}`),
  );
  const [more, less] = [got.filter((line) => !wanted.includes(line)), wanted.filter((line) => !got.includes(line))];
  must(more.length + less.length === 0, `trusted/ has ${more.join(", ") || "nothing"} too much, and lacks ${less.join(", ") || "nothing"}`);
}

/** No file or row stands under a digest that is not that of its bytes, and all stand there that artifacts name. */
async function checkBlobs(truths: readonly RepositoryTruth[], root: string, digests: FileDigests): Promise<void> {
  const found = new Set<string>();
  for (const [digest, isRight] of await blobRowsIn(root)) {
    must(isRight, `the row of ${digest} holds other bytes`);
    found.add(digest);
  }
  for (const file of await filesBelow(join(root, "blobs"))) {
    const [algorithm, , encoded] = file.split("/");
    if (encoded === undefined) continue;
    const digest = await digests.of(join(root, "blobs", file), algorithm);
    // What is collected just now is gone by now.
    must(digest === undefined || digest === `${algorithm}:${encoded}`, `blobs/${file} holds the bytes of ${digest}`);
    if (digest !== undefined) found.add(digest);
  }
  for (const { name, models, present } of truths) {
    const lost = present.flatMap((digest) => models.get(digest)?.blobs ?? []).filter(({ digest }) => !found.has(digest));
    must(lost.length === 0, `${name} has lost the bytes of ${lost.map(({ digest }) => digest).join(", ")}`);
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
