import type { Limits } from "../limits/limits.ts";
import type { Logger } from "../log.ts";
import type { BlobStore } from "../storage/blob-store.ts";
import type { IncomingFiles } from "../storage/incoming-files.ts";
import type { MetadataStore } from "../storage/metadata-store.ts";
import type { SigningKeys } from "../storage/signing-keys.ts";
import type { RuntimeTree } from "../storage/runtime-tree.ts";
import type { Inspector } from "../scan/inspector.ts";
import type { Actor } from "../audit/event.ts";
import type { Principal } from "../identity/principal.ts";
import type { PromotionPolicy } from "../policy/promotion.ts";
import type { Quota } from "../storage/records.ts";

/** What use cases are given. A use case takes `Pick<Services, …>`, so that its needs stand in its first line. */
export interface Services {
  readonly metadata: MetadataStore;
  readonly blobs: BlobStore;
  readonly tree: RuntimeTree;
  readonly files: IncomingFiles;
  readonly inspector: Inspector;
  /** The keys of the registry's statements. */
  readonly signing: SigningKeys;
  /** Now, in epoch milliseconds. */
  readonly clock: () => number;
  /** A fresh time-ordered id (UUIDv7), for events and requests. */
  readonly newId: () => string;
  /** Cryptographically strong random bytes. */
  readonly random: (bytes: number) => Uint8Array;
  /** A key for one purpose, 32 bytes, derived from the registry's secret by HKDF (one label a purpose). */
  readonly secretFor: (purpose: string) => Uint8Array;
  readonly log: Logger;
  readonly limits: Limits;
  readonly settings: Settings;
}

/** What use cases need to know of the configuration. */
interface Settings {
  /** What clients call the registry, without a trailing slash; statements name it. */
  readonly publicUrl: string;
  readonly duties: "standard" | "strict";
  /** For how long (ms) the collector spares what nothing refers to. */
  readonly collectGrace: number;
  /** For how long (ms) a signed snapshot of artifacts' states may be relied on. */
  readonly snapshotLifetime: number;
  /** What a namespace may hold that has no quota of its own. */
  readonly quota: Quota;
  /** What decides promotions. */
  readonly promotionPolicy: PromotionPolicy;
}

/** One request's caller: who decides rights, and what the audit says of it. */
export interface Caller {
  readonly principal: Principal;
  readonly actor: Actor;
}
