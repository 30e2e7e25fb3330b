import type { AuditEvent } from "../audit/event.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { type FirstModelsFile, keys } from "../storage/keys.ts";
import type { Change } from "../storage/metadata-store.ts";
import { withPendingChange } from "../storage/pending-change.ts";
import type { AcquireServices } from "./acquire.ts";
import { type FoundModel, findRegistered } from "./find-model.ts";
import { type ModelHappening, modelEventRows } from "./model-events.ts";
import type { Caller } from "./ports.ts";
import { SYSTEM } from "./system-actor.ts";

/** The file by which the operator decided what an empty store begins with. */
export interface DecidingFile {
  readonly kind: FirstModelsFile;
  readonly digest: Digest;
}

/** The changes by which a record of such a file is registered, which become one: each is decided over the store as those before will leave it. */
export class RegistrationDraft {
  readonly #services: AcquireServices;
  readonly #file: DecidingFile;
  #metadata: AcquireServices["metadata"];

  constructor(services: AcquireServices, file: DecidingFile) {
    this.#services = services;
    this.#file = file;
    this.#metadata = services.metadata;
  }

  /** What decisions are taken with; they are of another time where the record says when it was. */
  services(at: number | undefined): AcquireServices {
    const { clock, settings } = this.#services;
    const promotionPolicy = policyOf(this.#file);
    return {
      ...this.#services,
      metadata: this.#metadata,
      clock: at === undefined ? clock : () => at,
      settings: { ...settings, promotionPolicy },
    };
  }

  /** The predecessor's chain is written by whoever knows what it tells already. */
  add(change: Partial<Change> | undefined): void {
    if (change === undefined) return;
    const { expect = [], put = [], remove = [], audit = [] } = change;
    this.#metadata = withPendingChange(this.#metadata, {
      expect: expect.filter(({ key }) => !CHAIN.has(key[0])),
      put: put.filter(({ key }) => !CHAIN.has(key[0])),
      remove,
      audit: audit.map((event) => this.#told(event)),
    });
  }

  async found(name: string): Promise<FoundModel> {
    const found = await findRegistered(this.services(undefined), callerOf(this.#file).decider, name);
    if (found === undefined) throw new RegistryError("INTERNAL");
    return found;
  }

  async commit(happening: ModelHappening | undefined): Promise<void> {
    const { expect, put } = happening === undefined ? { expect: [], put: [] } : await modelEventRows(this.services(undefined), happening);
    const outcome = await this.#metadata.commit({ expect, put, remove: [], audit: [] });
    if (outcome !== "committed") throw new Error("another process registers models at the same time");
  }

  /** The audit says when it was recorded, and by which file. */
  #told(event: AuditEvent): AuditEvent {
    return { ...event, time: this.#services.clock(), after: { ...event.after, policy: policyOf(this.#file) } };
  }
}

const CHAIN: ReadonlySet<string> = new Set([keys.modelEventHead()[0], keys.modelEvents()[0]]);

function policyOf({ kind, digest }: DecidingFile): `${FirstModelsFile}@${Digest}` {
  return `${kind}@${digest}`;
}

/**
 * The registry takes the files in, and the operator's file decides: two persons as far as duties are concerned, and one actor, the system,
 * in statements and audit.
 */
export function callerOf(file: DecidingFile): { readonly acquirer: Caller; readonly decider: Caller } {
  const principal = {
    name: SYSTEM.principal,
    kind: "system",
    bindings: [
      { role: "operator", namespace: "*" },
      { role: "maintainer", namespace: "models" },
    ],
    countsAs: SYSTEM.principal,
    credential: undefined,
    access: undefined,
    duties: "standard",
  } as const;
  return {
    acquirer: { principal, actor: SYSTEM },
    decider: { principal: { ...principal, countsAs: policyOf(file) }, actor: SYSTEM },
  };
}
