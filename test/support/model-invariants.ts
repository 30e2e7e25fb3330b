import { GENESIS, type ModelEvent, modelEventHash, modelEventSchema, modelRecordJson } from "../../src/audit/model-event.ts";
import { repositoryOfModel } from "../../src/oci/model-name.ts";
import { repositoryNameSchema } from "../../src/oci/reference.ts";
import { registeredView } from "../../src/registry/model-view.ts";
import { RESERVED_TAG } from "../../src/registry/reserved-tag.ts";
import { keys, under } from "../../src/storage/keys.ts";
import type { Entry, MetadataStore } from "../../src/storage/metadata-store.ts";
import {
  type ManifestRecord,
  type ModelDetails,
  manifestRecord,
  modelDetailsRecord,
  modelFileRecord,
  modelNameRecord,
  modelRepositoryRecord,
  tagRecord,
} from "../../src/storage/records.ts";
import { faultsOf } from "./invariants.ts";
import type { Transitions } from "./transitions.ts";

const ALL = 1_000_000;

/**
 * What is wrong with the rows of the predecessor's API, computed anew from what `keys.ts` says of them: names, repositories, files and
 * reserved tags belong together, no two live records hold one file, and the chain of events is whole and tells of every record as it is.
 */
export async function modelFaults(metadata: MetadataStore): Promise<string[]> {
  const events = (await metadata.list(under(keys.modelEvents(), ALL))).map(({ value }) => modelEventSchema.parse(value));
  const head = await metadata.get(keys.modelEventHead());
  const names = await metadata.list(under(keys.modelNames(), ALL));
  const named = await Promise.all(names.map((entry) => Named.load(metadata, entry)));
  return [
    ...chainFaults(events),
    ...(JSON.stringify(head?.value) === JSON.stringify(events.at(-1)) ? [] : ["the head is not the last event"]),
    ...named.flatMap((each) => each.faults(events)),
    ...twice(named.filter(({ isLive }) => isLive).map(({ path }) => path)).map((path) => `${path} has two live records`),
  ];
}

/** The same, and what is wrong with the rows of some repositories. */
export async function registeredFaults(
  { services: { metadata }, directory }: Pick<Transitions, "services" | "directory">,
  ...repositories: readonly string[]
): Promise<string[]> {
  const found = await Promise.all(repositories.map((each) => faultsOf(metadata, repositoryNameSchema.parse(each), directory)));
  return [...found.flat(), ...(await modelFaults(metadata))];
}

interface Found {
  readonly name: string;
  readonly repository: string;
  readonly owner: string | undefined;
  readonly manifest: ManifestRecord | undefined;
  readonly details: ModelDetails | undefined;
  /** What the reserved tag was pushed as. */
  readonly tagged: string | undefined;
  readonly fileHolder: string | undefined;
}

class Named {
  readonly #found: Found;

  private constructor(found: Found) {
    this.#found = found;
  }

  static async load(metadata: MetadataStore, { key, value }: Entry): Promise<Named> {
    const { repository, digest } = modelNameRecord.parse(value);
    const read = async <T>(parse: (value: unknown) => T, at: Entry["key"]): Promise<T | undefined> => {
      const entry = await metadata.get(at);
      return entry && parse(entry.value);
    };
    const details = await read((row) => modelDetailsRecord.parse(row), keys.model(repository, digest));
    return new Named({
      name: String(key[1]),
      repository,
      owner: await read((row) => modelRepositoryRecord.parse(row).name, keys.modelRepository(repository)),
      manifest: await read((row) => manifestRecord.parse(row), keys.manifest(repository, digest)),
      details,
      tagged: await read((row) => tagRecord.parse(row).digest, keys.tagPushed(repository, RESERVED_TAG)),
      fileHolder: details && (await read((row) => modelFileRecord.parse(row).name, keys.modelFile(details.path))),
    });
  }

  get isLive(): boolean {
    return this.#found.manifest !== undefined && this.#found.manifest.state !== "deleted";
  }

  get path(): string {
    return this.#found.details?.path ?? "";
  }

  faults(events: readonly ModelEvent[]): string[] {
    const { name, repository, owner, manifest, details, tagged, fileHolder } = this.#found;
    if (manifest === undefined || details === undefined) return [`${name} names nothing`];
    const is = modelRecordJson(registeredView(details, manifest));
    const told = events.findLast(({ artifact }) => isAbout(artifact, details));
    const faults = [
      [repository === repositoryOfModel(name) && owner === name && details.name === name, "is not alone in its repository"],
      [told !== undefined && modelRecordJson(told.artifact) === is, `is ${is}, last told of as ${told && modelRecordJson(told.artifact)}`],
      [tagged === (this.isLive ? manifest.digest : undefined), `has the tag at ${tagged}`],
      [!this.isLive || fileHolder === name, `does not hold ${details.path}`],
    ] as const;
    return faults.filter(([isRight]) => !isRight).map(([, fault]) => `${name} ${fault}`);
  }
}

function isAbout(artifact: ModelEvent["artifact"], { name, filename, blob }: ModelDetails): boolean {
  return artifact.name === name && artifact.filename === filename && `sha256:${artifact.sha256}` === blob;
}

function twice(texts: readonly string[]): string[] {
  return texts.filter((text, at) => texts.indexOf(text) !== at);
}

/** What is wrong with the predecessor's chain by itself. */
export function chainFaults(events: readonly ModelEvent[]): string[] {
  return events.flatMap((event, at) => [
    ...(event.sequence === at + 1 ? [] : [`event ${at + 1} has the sequence ${event.sequence}`]),
    ...(event.prev_hash === (events[at - 1]?.hash ?? GENESIS) ? [] : [`event ${at + 1} does not name the one before`]),
    ...(event.hash === modelEventHash(event) ? [] : [`event ${at + 1} has another hash`]),
    ...(event.to_state === event.artifact.state && event.sha256 === event.artifact.sha256 ? [] : [`event ${at + 1} is not its record`]),
  ]);
}
