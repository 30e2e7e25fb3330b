import { randomUUIDv7 } from "node:crypto";
import { join } from "node:path";
import { digestOf } from "../src/oci/digest.ts";
import { parseManifest } from "../src/oci/manifest.ts";
import { type RepositoryName, repositoryNameSchema, tagSchema } from "../src/oci/reference.ts";
import { auditEvent } from "../src/registry/audit-event.ts";
import { linkRows } from "../src/registry/link-blob.ts";
import type { Caller } from "../src/registry/ports.ts";
import { decideManifest } from "../src/registry/push-manifest.ts";
import { ensureRepository } from "../src/registry/repository.ts";
import { openBlobs } from "../src/storage/blob-rows.ts";
import { openLmdb } from "../src/storage/lmdb.ts";
import type { Change } from "../src/storage/metadata-store.ts";
import { callerWith } from "../test/support/callers.ts";

/** How much a store holds beside what was pushed. */
export interface Amounts {
  /** Manifests of one repository, each with a tag of its own. */
  readonly manifests: number;
  /** Manifests that refer to one subject, in the same repository. */
  readonly referrers: number;
  /** Blobs without bytes, each linked to one repository of many. */
  readonly blobs: number;
}

/** Blobs that one of the many repositories holds. */
const BLOBS_EACH = 100;
/** Manifests and blobs of one change. */
const MANIFESTS_AT_ONCE = 250;
const BLOBS_AT_ONCE = 1000;
const IMAGE = "application/vnd.oci.image.manifest.v1+json";
const EMPTY = { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 };

/** A subject, as a manifest names it. */
export interface Subject {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/**
 * Fills the store of a registry that is stopped, by the same decisions as pushes make; blobs by their rows alone, since their bytes are
 * what nobody has room for.
 */
export async function fillStore(
  directory: string,
  place: { readonly repository: string; readonly subject: Subject },
  amounts: Amounts,
): Promise<void> {
  const metadata = await openLmdb(join(directory, "metadata"));
  try {
    const filler = new Filler(
      { ...SERVICES, metadata, blobs: await openBlobs(directory, metadata) },
      repositoryNameSchema.parse(place.repository),
    );
    await filler.manifests(amounts.manifests, (at) => ({
      body: { annotations: { number: String(at) } },
      tag: `filler-${String(at).padStart(7, "0")}`,
    }));
    await filler.manifests(amounts.referrers, (at) => ({
      body: { artifactType: "application/vnd.example.note", subject: place.subject, annotations: { note: String(at) } },
      tag: undefined,
    }));
    await filler.blobs(amounts.blobs);
  } finally {
    await metadata.close();
  }
}

const SERVICES = {
  clock: () => Date.now(),
  newId: () => randomUUIDv7(),
  settings: {
    publicUrl: "http://127.0.0.1",
    duties: "standard",
    collectGrace: 86_400_000,
    snapshotLifetime: 86_400_000,
    promotionPolicy: "closure",
    quota: { bytes: null, artifacts: null, manifests: null, tags: null, uploads: null },
  },
} as const;

type Services = Parameters<typeof decideManifest>[0];

interface Filling {
  readonly body: object;
  readonly tag: string | undefined;
}

class Filler {
  readonly #services: Services;
  readonly #repository: RepositoryName;
  readonly #caller: Caller = callerWith(["publisher@scale"], { name: "publisher" });

  constructor(services: Services, repository: RepositoryName) {
    this.#services = services;
    this.#repository = repository;
  }

  async manifests(count: number, fillingOf: (at: number) => Filling): Promise<void> {
    for (let from = 0; from < count; from += MANIFESTS_AT_ONCE) {
      const changes: Change[] = [];
      for (let at = from; at < Math.min(count, from + MANIFESTS_AT_ONCE); at += 1) changes.push(await this.#manifest(fillingOf(at)));
      await this.#commit(changes);
    }
  }

  async blobs(count: number): Promise<void> {
    for (let from = 0; from < count; from += BLOBS_AT_ONCE) {
      const changes: Change[] = [];
      for (let at = from; at < Math.min(count, from + BLOBS_AT_ONCE); at += BLOBS_EACH)
        changes.push(await this.#repositoryOfBlobs(at, count));
      await this.#commit(changes);
    }
  }

  async #manifest({ body, tag }: Filling): Promise<Change> {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: IMAGE, config: EMPTY, layers: [EMPTY], ...body }));
    const [sha256, sha512] = [digestOf(bytes), digestOf(bytes, "sha512")];
    const tags = tag === undefined ? [] : [tagSchema.parse(tag)];
    const push = { repository: this.#repository, digest: undefined, tags, contentType: IMAGE, bytes };
    const checked = { push, manifest: parseManifest(bytes, IMAGE), named: sha256, sha256, sha512 };
    const { change } = await decideManifest(this.#services, this.#caller, checked);
    if (change === undefined) throw new Error("the store was filled before");
    return change;
  }

  /** One of the many repositories, with its blobs. */
  async #repositoryOfBlobs(first: number, count: number): Promise<Change> {
    const repository = repositoryNameSchema.parse(`scale/many-${String(first / BLOBS_EACH).padStart(7, "0")}`);
    const made = await ensureRepository(this.#services, repository);
    const last = Math.min(count, first + BLOBS_EACH);
    const link = { size: 1_000_000, by: this.#caller.principal.name, at: this.#services.clock(), isThere: false };
    const rows = Array.from({ length: last - first }, (_, at) => linkRows(repository, digestOf(`blob ${first + at}`), link));
    const said = { type: "blob.push", target: { kind: "repository", name: repository }, after: { blobs: last - first } } as const;
    return {
      expect: made.expect,
      put: [...made.put, ...rows.flat()],
      remove: [],
      audit: [auditEvent(this.#services, this.#caller.actor, said)],
    };
  }

  /** Nobody else writes, so that the changes of one commit rest on the same store. */
  async #commit(changes: readonly Change[]): Promise<void> {
    const outcome = await this.#services.metadata.commit({
      expect: changes.flatMap(({ expect }) => expect),
      put: changes.flatMap(({ put }) => put),
      remove: changes.flatMap(({ remove }) => remove),
      audit: changes.flatMap(({ audit }) => audit),
    });
    if (outcome !== "committed") throw new Error("somebody else writes to the store");
  }
}
