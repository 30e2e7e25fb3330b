import { createHash } from "node:crypto";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { linkSchema } from "../../src/audit/chain.ts";
import type { AuditEvent } from "../../src/audit/event.ts";
import { type FirstModels, registerFirstModels } from "../../src/registry/first-models.ts";
import type { Services } from "../../src/registry/ports.ts";
import { StorageFullError } from "../../src/storage/blob-store.ts";
import type { MetadataStore } from "../../src/storage/metadata-store.ts";
import { keys, under } from "../../src/storage/keys.ts";
import { repositoryNameSchema } from "../../src/oci/reference.ts";
import { quick } from "./acquisitions.ts";
import { faultsOf } from "./invariants.ts";
import { modelFaults } from "./model-invariants.ts";
import { type Model, Models } from "./models.ts";

const ALL = 1_000_000;
const named = z.string();

/** A registry that has not been given its first models yet, and a folder of the operator for a lock file. */
export class Beginning implements AsyncDisposable {
  readonly models: Models;
  readonly folder: string;

  private constructor(models: Models, folder: string) {
    this.models = models;
    this.folder = folder;
  }

  static async start(): Promise<Beginning> {
    const folder = await mkdtemp(join(tmpdir(), "amr-operator-"));
    await chmod(folder, 0o755);
    return new Beginning(await Models.start(), folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.models[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true });
  }

  get lockPath(): string {
    return join(this.folder, "models.lock.yaml");
  }

  /** Writes the lock file; the digest by which decisions name it. */
  async lock(text: string): Promise<string> {
    await writeFile(this.lockPath, text, { mode: 0o644 });
    return digestOfText(text);
  }

  /** Writes a manifest of the predecessor into the data directory; its digest. */
  async manifest(text: string): Promise<string> {
    await writeFile(this.models.at("manifest.json"), text, { mode: 0o600 });
    return digestOfText(text);
  }

  /** What a start does about first models; `around` stands between it and the services. */
  async begin(options: Partial<FirstModels> = {}, around: (services: Services) => Partial<Services> = () => ({})): Promise<void> {
    const services = quick(this.models.registry.services);
    const wanted = {
      lockPath: this.lockPath,
      directory: this.models.registry.directory,
      believeStates: false,
      signal: new AbortController().signal,
    };
    await registerFirstModels({ ...services, ...around(services) }, { ...wanted, ...options });
  }

  /** Every registered model, by name. */
  async list(): Promise<Record<string, Model>> {
    const listed = (await this.models.ask("GET", "/v1/models")).json() as readonly Model[];
    return Object.fromEntries(listed.map((model) => [model.name, model]));
  }

  /** The state of every registered model. */
  async states(): Promise<Record<string, string>> {
    return Object.fromEntries(Object.entries(await this.list()).map(([name, { state }]) => [name, state]));
  }

  /** What the audit holds of first models, and what it says of each artifact. */
  async audited(type: string): Promise<AuditEvent[]> {
    const links = await this.models.registry.services.metadata.list(under(keys.audits(), ALL));
    return links.map(({ value }) => linkSchema.parse(value).event).filter((event) => event.type === type);
  }

  /** Why entries, or files, were refused, with what they were. */
  async refusals(): Promise<string[]> {
    const events = await this.audited("registry.first-models");
    return events
      .filter(({ outcome }) => outcome === "deny")
      .map(({ reason, after }) => `${named.parse(after?.["name"] ?? "file")}: ${reason ?? ""}`);
  }

  /** What is wrong with the rows and files of the whole registry. */
  async faults(): Promise<string[]> {
    const { services, directory } = this.models.registry;
    const rows = await services.metadata.list(under(keys.repositories(), ALL));
    const repositories = rows.map(({ key }) => repositoryNameSchema.parse(key[1]));
    const faults = await Promise.all(repositories.map((repository) => faultsOf(services.metadata, repository, directory)));
    const pending = await services.metadata.list(under(keys.treesPending(), ALL));
    const told = (await modelFaults(services.metadata)).filter((fault) => !isToldByPredecessor(fault));
    return [...faults.flat(), ...told, ...pending.map(({ key }) => `${key.join("/")} is pending`)];
  }
}

const TOLD = /^.* is (\{.*\}), last told of as (\{.*\})$/s;

/** The predecessor says where its copy of the bytes lies, and tells the time of an acquisition or promotion and of nothing else. */
function isToldByPredecessor(fault: string): boolean {
  const [, record, told] = TOLD.exec(fault) ?? [];
  if (record === undefined || told === undefined) return false;
  const [ours, theirs] = [record, told].map((text) => ({ ...(JSON.parse(text) as Model), object_path: "", promoted_at: "" }));
  return isDeepStrictEqual(ours, theirs);
}

/** The store of a process that dies at the nth change. */
export function cutting(metadata: MetadataStore, changes: number, error: Error = new StorageFullError("full")): MetadataStore {
  let left = changes;
  return {
    get: (key) => metadata.get(key),
    list: (range) => metadata.list(range),
    close: () => metadata.close(),
    commit: async (change) => {
      left -= 1;
      if (left < 0) throw error;
      return metadata.commit(change);
    },
  };
}

function digestOfText(text: string): string {
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}
