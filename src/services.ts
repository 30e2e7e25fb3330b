import { hkdfSync, randomBytes, randomUUIDv7 } from "node:crypto";
import { join } from "node:path";
import type { Config } from "./config.ts";
import { type Realm, realmChooser } from "./identity/realm.ts";
import type { Logger } from "./log.ts";
import type { Services } from "./registry/ports.ts";
import { type RefusalLog, createRefusalLog } from "./registry/refusals.ts";
import { type ServiceTokenPlace, placeOfServiceToken } from "./registry/service-token.ts";
import { createInspector } from "./scan/inspector.ts";
import { type DataDirectory, openDataDirectory } from "./storage/data-directory.ts";
import { openFilesystem } from "./storage/filesystem.ts";
import { openIncomingFiles } from "./storage/incoming-files.ts";
import { openLinkedTree } from "./storage/linked-tree.ts";
import { openLmdb } from "./storage/lmdb.ts";
import { type SecretFile, readSecretFile } from "./storage/secret-file.ts";

/** One process's registry: what use cases are given, and what its doors need besides. */
export interface Registry extends Services {
  readonly paths: DataDirectory["paths"];
  readonly refusals: RefusalLog;
  /** What a challenge names, by the Host that the client used (RULES 20). */
  readonly realmOf: (host: string | undefined) => Realm;
  /** The file of the last integrity check's result. */
  readonly integrityResultPath: string;
  readonly serviceTokenPlace: ServiceTokenPlace;
  /** The predecessor's single token, as its file holds it now; undefined when it is off. */
  readonly serviceToken: () => Promise<SecretFile | undefined>;
  /** Writes what is due, and closes the stores. */
  close(): Promise<void>;
}

const KEY_BYTES = 32;

/** Builds a registry over a data directory that the caller, or the process that started it, holds. `port` is the one that listens. */
export async function openRegistry(config: Config, port: number, log: Logger): Promise<Registry> {
  const { paths, secret } = await openDataDirectory(config.dataDirectory, { worker: true });
  const listening = {
    publicUrl: config.publicUrl,
    scheme: config.tls === undefined ? "http" : "https",
    host: config.bind.host,
    port,
  } as const;
  const metadata = await openLmdb(paths.metadata);
  const services: Services = {
    metadata,
    blobs: await openFilesystem(paths.root),
    tree: await openLinkedTree(paths.root),
    files: openIncomingFiles(paths.root),
    inspector: createInspector(),
    clock: () => Date.now(),
    newId: () => randomUUIDv7(),
    random: (bytes) => randomBytes(bytes),
    secretFor: derivedFrom(secret),
    log,
    settings: {
      publicUrl: publicUrlOf(listening),
      duties: config.duties,
      collectGrace: config.times.collectGrace,
      promotionPolicy: config.promotionPolicy,
    },
  };
  const refusals = createRefusalLog(services);
  const place = await placeOfServiceToken(config.serviceTokenPath, join(paths.credentials, "service-token"));
  // Who turns the development mode on wants no token to be demanded.
  const serviceTokenPlace = { ...place, makable: place.makable && !config.insecureDevMode };
  const serviceToken = (): Promise<SecretFile | undefined> => readSecretFile(serviceTokenPlace.path);
  const close = async (): Promise<void> => {
    await refusals.close();
    await metadata.close();
  };
  return {
    ...services,
    paths,
    refusals,
    realmOf: realmChooser(listening),
    integrityResultPath: config.integrityResultPath,
    serviceTokenPlace,
    serviceToken,
    close,
  };
}

/** What statements and tokens name as their registry: the configured address, else the one that listens. */
export function publicUrlOf({ publicUrl, scheme, host, port }: Parameters<typeof realmChooser>[0]): string {
  return publicUrl ?? new URL(`${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`).origin;
}

/** HKDF (RFC 5869) over the root secret, a label a purpose, so that no key can stand in for another. */
function derivedFrom(secret: Uint8Array): (purpose: string) => Uint8Array {
  const keys = new Map<string, Uint8Array>();
  return (purpose) => {
    const known = keys.get(purpose);
    if (known !== undefined) return known;
    const key = new Uint8Array(hkdfSync("sha256", secret, "", `ai-model-registry ${purpose}`, KEY_BYTES));
    keys.set(purpose, key);
    return key;
  };
}
