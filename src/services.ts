import { hkdfSync, randomBytes, randomUUIDv7 } from "node:crypto";
import { join } from "node:path";
import type { Config } from "./config.ts";
import { die } from "./die.ts";
import { type Realm, realmChooser } from "./identity/realm.ts";
import { ownLimits } from "./limits/keeper.ts";
import type { Limits } from "./limits/limits.ts";
import type { Logger } from "./log.ts";
import { MetricSet } from "./metrics/metric-set.ts";
import { countedMetadata } from "./registry/counted-metadata.ts";
import { measuredInspector, measuredMetadata, measuredRefusals } from "./registry/measured.ts";
import type { Services } from "./registry/ports.ts";
import { type RefusalLog, createRefusalLog } from "./registry/refusals.ts";
import { RegistryError } from "./oci/errors.ts";
import { prepareSigningKey } from "./registry/attestation-keys.ts";
import { type ServiceTokenPlace, placeOfServiceToken } from "./registry/service-token.ts";
import { createInspector } from "./scan/inspector.ts";
import { openBlobs } from "./storage/blob-rows.ts";
import { type DataDirectory, openDataDirectory } from "./storage/data-directory.ts";
import { openKeyFiles } from "./storage/key-files.ts";
import { openIncomingFiles } from "./storage/incoming-files.ts";
import { openLinkedTree } from "./storage/linked-tree.ts";
import { openLmdb } from "./storage/lmdb.ts";
import type { MetadataStore } from "./storage/metadata-store.ts";
import { type SecretFile, SecretFileError, readPrivateFile, readSecretFile } from "./storage/secret-file.ts";
import { openSigningCommand } from "./storage/signing-command.ts";
import { SigningError, type SigningKeys } from "./storage/signing-keys.ts";
import { openSigningToken } from "./storage/signing-token.ts";

/** One process's registry: what use cases are given, and what its doors need besides. */
export interface Registry extends Services {
  readonly paths: DataDirectory["paths"];
  readonly refusals: RefusalLog;
  /** What this process counts. */
  readonly metrics: MetricSet;
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

/**
 * Builds a registry over a data directory that the caller, or the process that started it, holds. `port` is the one that listens; without
 * limits that others share this process keeps its own.
 */
export async function openRegistry(config: Config, port: number, log: Logger, limits?: Limits): Promise<Registry> {
  const { paths, secret } = await openDataDirectory(config.dataDirectory, { worker: true });
  const listening = {
    publicUrl: config.publicUrl,
    scheme: config.tls === undefined ? "http" : "https",
    host: config.bind.host,
    port,
  } as const;
  const secretFor = derivedFrom(secret);
  const signing = await openSigningKeys(config, paths.credentials, secretFor);
  const metrics = new MetricSet();
  const settings = settingsOf(config, listening);
  const store = await openMetadata(paths.metadata, log);
  const metadata = countedMetadata(measuredMetadata(store, metrics), settings);
  const services: Services = {
    metadata,
    blobs: await openBlobs(paths.root, store),
    tree: await openLinkedTree(paths.root, store),
    files: openIncomingFiles(paths.root),
    inspector: measuredInspector(createInspector({ log }), metrics),
    signing,
    clock: () => Date.now(),
    newId: () => randomUUIDv7(),
    random: (bytes) => randomBytes(bytes),
    secretFor,
    log,
    limits: limits ?? ownLimits(config.limits, () => performance.now()),
    settings,
  };
  await prepareSigningKey(services).catch(tellOperator);
  const refusals = measuredRefusals(createRefusalLog(services), metrics);
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
    metrics,
    realmOf: realmChooser(listening),
    integrityResultPath: config.integrityResultPath,
    serviceTokenPlace,
    serviceToken,
    close,
  };
}

function settingsOf(config: Config, listening: Parameters<typeof realmChooser>[0]): Services["settings"] {
  return {
    publicUrl: publicUrlOf(listening),
    duties: config.duties,
    collectGrace: config.times.collectGrace,
    snapshotLifetime: config.times.snapshotLifetime,
    quota: config.quota,
    promotionPolicy: config.promotionPolicy,
  };
}

/** What statements and tokens name as their registry: the configured address, else the one that listens. */
export function publicUrlOf({ publicUrl, scheme, host, port }: Parameters<typeof realmChooser>[0]): string {
  return publicUrl ?? new URL(`${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`).origin;
}

/** A process in which the store breaks ends, whatever it does: another one opens the store anew. */
async function openMetadata(directory: string, log: Logger): Promise<MetadataStore> {
  return openLmdb(directory, (error) => {
    log.fatal({ err: error }, "the metadata store is broken for this process until it is opened anew: ending at once");
    die();
  });
}

/** At a start nobody asks for anything yet: why nothing can be signed is for the operator, in words. */
function tellOperator(error: unknown): never {
  throw error instanceof RegistryError && error.cause instanceof SigningError ? error.cause : error;
}

/** The signing keys that the registry keeps, or the program that signs for it. */
async function openSigningKeys(
  { signing, signingPassphrasePath: path }: Config,
  credentials: string,
  secretFor: Services["secretFor"],
): Promise<SigningKeys> {
  const given = path === undefined ? undefined : await readSecretFile(path);
  if (path !== undefined && (given === undefined || given.readableByOthers)) {
    throw new SecretFileError(`${path} must be there, and readable by this user alone: it is the passphrase of the signing key`);
  }
  const kept = openKeyFiles(credentials, given?.secret ?? Buffer.from(secretFor("attestation-key")).toString("base64"));
  if (signing === undefined) return kept;
  if (signing.by === "token") return openSigningToken({ ...signing, pin: await readPin(signing.pin) }, kept);
  const pem = await readPrivateFile(signing.publicKey);
  if (pem === undefined)
    throw new SecretFileError(`${signing.publicKey} is not there: it must hold the public key of the program that signs`);
  return openSigningCommand({ path: signing.command, publicPem: pem.text }, kept);
}

async function readPin(path: string): Promise<string> {
  const file = await readPrivateFile(path);
  if (file === undefined || file.readableByOthers) {
    throw new SecretFileError(`${path} must be there, and readable by this user alone: it is the PIN of the token that signs`);
  }
  const pin = file.text.trim();
  if (!/^[\x21-\x7e]{4,255}$/.test(pin)) throw new SecretFileError(`${path} must hold one PIN of 4 to 255 characters without white space`);
  return pin;
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
