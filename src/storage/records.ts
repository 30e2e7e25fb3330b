import { z } from "zod";
import { fingerprintSchema, scannerMapSchema } from "../audit/model-event.ts";
import { bindingSchema } from "../identity/principal.ts";
import { stateSchema } from "../lifecycle/state.ts";
import { annotationsSchema } from "../oci/descriptor.ts";
import { digestSchema } from "../oci/digest.ts";
import { MODEL_FORMATS } from "../oci/model-name.ts";
import { repositoryNameSchema } from "../oci/reference.ts";
import { checkedOnce } from "./checked-once.ts";
import { CONTENT_KINDS } from "./keys.ts";

/** The records that `keys.ts` names, each with a version, so that a later form can be told from an earlier one. */
const time = z.number().int().nonnegative();

export const namespaceRecord = z.strictObject({ v: z.literal(1), owner: z.string(), createdBy: z.string(), createdAt: time });
export type NamespaceRecord = z.infer<typeof namespaceRecord>;

/** What a namespace may hold, as far as it has a quota of its own; null: any number. */
const most = z.number().int().nonnegative().nullable().exactOptional();
export const quotaRecord = z.strictObject({ v: z.literal(1), bytes: most, artifacts: most, manifests: most, tags: most, uploads: most });
export type QuotaRecord = z.infer<typeof quotaRecord>;

/** What of a namespace can have a quota; null: any number. */
export type Resource = keyof Omit<QuotaRecord, "v">;
export type Quota = Readonly<Record<Resource, number | null>>;

/** What a namespace holds: counted by every change that adds or takes away. */
export const usageRecord = z.strictObject({
  v: z.literal(1),
  bytes: z.number().int(),
  artifacts: z.number().int(),
  manifests: z.number().int(),
  tags: z.number().int(),
});
export type UsageRecord = z.infer<typeof usageRecord>;

/** Artifacts by state, or by how many they grew: counted by every change, a state that is not there by none. */
const grown = z.number().int().exactOptional();
export const stateCountRecord = z.strictObject({
  v: z.literal(1),
  acquired: grown,
  quarantined: grown,
  trusted: grown,
  revoked: grown,
  deleted: grown,
});

export const identityRecord = checkedOnce(
  z.strictObject({
    v: z.literal(1),
    name: z.string(),
    kind: z.enum(["human", "service"]),
    bindings: z.array(bindingSchema),
    disabled: z.boolean(),
    /** Raised to end every token and refresh token at once. */
    epoch: z.number().int().nonnegative(),
    createdBy: z.string(),
    createdAt: time,
    /** Whose person this counts as for duties (RULES 17): the owner who made it, else itself. */
    countsAs: z.string(),
  }),
);
export type IdentityRecord = z.infer<typeof identityRecord>;

export const credentialRecord = checkedOnce(
  z.strictObject({
    v: z.literal(1),
    id: z.string(),
    kind: z.enum(["api-key", "refresh-token", "session"]),
    identity: z.string(),
    secretHmac: z.string(),
    createdBy: z.string(),
    createdAt: time,
    /** Null: neither expires nor idles out (first-start keys only, RULES 18). */
    expiresAt: time.nullable(),
    idleMilliseconds: time.nullable(),
    revokedAt: time.nullable(),
    /** The credential that it was rotated from, or that a refresh token or a session belongs to. */
    parent: z.string().nullable(),
    epoch: z.number().int().nonnegative(),
  }),
);
export type CredentialRecord = z.infer<typeof credentialRecord>;

/** When and from where a credential was last used; written at most every few minutes. */
export const credentialUseRecord = checkedOnce(z.strictObject({ v: z.literal(1), at: time, address: z.string() }));
export type CredentialUseRecord = z.infer<typeof credentialUseRecord>;

/** Failed logins by one name, or with one secret, from one address. */
export const lockoutRecord = z.strictObject({
  v: z.literal(1),
  failures: z.number().int().positive(),
  lockedUntil: time,
  lastAt: time,
  /** Tells the secret of the last failure, when the same attempt may come again in another form (identity.md 2.2). */
  repeats: z.string().nullable(),
});
export type LockoutRecord = z.infer<typeof lockoutRecord>;

export const tokenKeyRecord = z.strictObject({
  v: z.literal(1),
  /** RFC 7638 thumbprint. */
  kid: z.string(),
  /** SPKI. */
  publicPem: z.string(),
  /** PKCS #8 in DER, encrypted under a key of the registry's secret. */
  sealedPrivateKey: z.instanceof(Uint8Array),
  createdAt: time,
  /** Signs until then; what it signed is in force for a token's lifetime longer. */
  signsUntil: time,
});
export type TokenKeyRecord = z.infer<typeof tokenKeyRecord>;

/** A key that signs the registry's statements, or did. */
export const attestationKeyRecord = z.strictObject({
  v: z.literal(1),
  /** base64(SHA-256(SPKI)). */
  id: z.string(),
  algorithm: z.string(),
  /** SPKI. */
  publicPem: z.string(),
  /** Epoch milliseconds, whole seconds. It signs until the next one does. */
  validFrom: time,
  /** The statement that names it, as a Sigstore bundle, and the digest of the statement, which the next one names. */
  bundle: z.string(),
  statement: digestSchema,
});
export type AttestationKeyRecord = z.infer<typeof attestationKeyRecord>;

export const repositoryRecord = z.strictObject({ v: z.literal(1), createdAt: time, trusted: z.number().int().nonnegative() });

/** A revocation that was not lifted: it outlives deletion (RULES 12). */
const revocation = z.strictObject({ permanent: z.boolean(), everywhere: z.boolean(), reason: z.string(), by: z.string(), at: time });

export const manifestRecord = checkedOnce(
  z.strictObject({
    v: z.literal(1),
    /** The canonical name. */
    digest: digestSchema,
    sha512: digestSchema,
    /** The names under which it was pushed, the first one first. */
    names: z.array(digestSchema).min(1),
    mediaType: z.string(),
    artifactType: z.string().nullable(),
    size: z.number().int().nonnegative(),
    /**
     * Bytes of all distinct digests of the closure, as far as they are known. Earlier versions took sums that are no exact number: such a one
     * is read as the largest that is, since no answer may say more.
     */
    closureBytes: z
      .number()
      .nonnegative()
      .transform((bytes) => Math.min(bytes, Number.MAX_SAFE_INTEGER)),
    subject: digestSchema.nullable(),
    /** One of the registry's own statements. */
    statement: z.boolean(),
    state: stateSchema,
    generation: z.number().int().positive(),
    /** Sequence and payload digest of the last statement of the chain. */
    sequence: z.number().int().nonnegative(),
    previous: digestSchema.nullable(),
    onceTrusted: z.boolean(),
    revocation: revocation.nullable(),
    /** The persons (`countsAs`) who put it in this generation (RULES 17). */
    uploaders: z.array(z.string()),
    pushedBy: z.string(),
    pushedAt: time,
    changedBy: z.string(),
    changedAt: time,
    reason: z.string().nullable(),
    policy: z.string().nullable(),
    decision: digestSchema.nullable(),
  }),
);
export type ManifestRecord = z.infer<typeof manifestRecord>;

export const linkRecord = checkedOnce(z.strictObject({ v: z.literal(1), size: z.number().int().nonnegative(), by: z.string(), at: time }));
export type LinkRecord = z.infer<typeof linkRecord>;

/** When a link was last used, if that was long after it was made; nobody becomes its owner by that. */
export const linkUseRecord = z.strictObject({ v: z.literal(1), at: time });

/** `condemned`: the collector is removing it; whoever needs it waits, or finishes the removal and publishes again. */
export const blobRecord = checkedOnce(
  z.strictObject({
    v: z.literal(1),
    size: z.number().int().nonnegative(),
    status: z.enum(["present", "condemned"]),
    damaged: z.boolean(),
    touchedAt: time,
  }),
);
export type BlobRecord = z.infer<typeof blobRecord>;

/** When a repository last began or ceased to hold a blob that has a record. */
export const blobUseRecord = z.strictObject({ v: z.literal(1), at: time });

/** What was found in the place of a damaged blob, and first when; both are null where there was nothing at all. */
export const damageRecord = z.strictObject({
  v: z.literal(1),
  actual: digestSchema.nullable(),
  size: z.number().int().nonnegative().nullable(),
  at: time,
});
export type DamageRecord = z.infer<typeof damageRecord>;

/**
 * Value of a reach or denied row: the manifests between the root and the digest, so that a revocation everywhere cuts a branch at
 * once. The registry's own statements stay readable whatever becomes of their root. A manifest is `covered` when the root's promotion
 * covers it and the root itself does not contain it: it is served, but has no folder in `trusted/` (RULES 23).
 */
export const reachRecord = z.strictObject({
  v: z.literal(1),
  via: z.array(digestSchema),
  statement: z.boolean(),
  covered: z.literal(true).exactOptional(),
});
export type ReachRecord = z.infer<typeof reachRecord>;

export const contentKindSchema = z.enum(CONTENT_KINDS);

/** The same by root, to tell what a transition changes. */
export const rootReachRecord = z.strictObject({ ...reachRecord.shape, denied: z.boolean() });
export type RootReachRecord = z.infer<typeof rootReachRecord>;

/** A link of an artifact's chain; `manifest` is null until its manifest is written, with the statement that follows (RULES 28). */
export const statementRecord = z.strictObject({
  v: z.literal(1),
  payload: z.string(),
  digest: digestSchema,
  manifest: digestSchema.nullable(),
  /** The Sigstore bundle in that manifest; there is none while the statement is unsigned. */
  bundle: digestSchema.exactOptional(),
  /** The verification summary of the transition. */
  summary: z.strictObject({ manifest: digestSchema, bundle: digestSchema }).exactOptional(),
  /** The manifest that it had before it was signed: listed no more, still there for whoever knows its digest. */
  unsigned: digestSchema.exactOptional(),
  state: stateSchema,
  at: time,
  actor: z.string(),
  reason: z.string().nullable(),
});
export type StatementRecord = z.infer<typeof statementRecord>;

/** A snapshot of chains that was signed. */
export const snapshotRecord = z.strictObject({
  v: z.literal(1),
  /** Of what it says, but for its times. */
  heads: digestSchema,
  takenAt: time,
  expiresAt: time,
  /** A Sigstore bundle. */
  bundle: z.string(),
});
export type SnapshotRecord = z.infer<typeof snapshotRecord>;

/** Value of an edge. A closed one shows the blob to nobody: it was revoked content when the manifest was pushed (RULES 14). */
export const edgeRecord = z.strictObject({ closed: z.literal(true).exactOptional() });
export type EdgeRecord = z.infer<typeof edgeRecord>;

/** Which process has to make or remove a folder of `trusted/`, since when; an empty name is that of one which failed. */
export const treePendingRecord = z.strictObject({ v: z.literal(1), at: time, process: z.string() });

/** What the last promotion of a root covers, by canonical manifest digest. */
export const coversRecord = z.strictObject({ v: z.literal(1), digests: z.array(digestSchema) });

export const tagRecord = z.strictObject({ v: z.literal(1), digest: digestSchema, by: z.string(), at: time });
export type TagRecord = z.infer<typeof tagRecord>;

/** A digest that is revoked in every repository; there is one row for each of its names. */
export const everywhereRecord = z.strictObject({ v: z.literal(1), reason: z.string(), permanent: z.boolean(), by: z.string(), at: time });
export type EverywhereRecord = z.infer<typeof everywhereRecord>;

/** Value of a referrer row: what the list of referrers shows. */
export const referrerRecord = z.strictObject({
  v: z.literal(1),
  descriptor: z.strictObject({
    mediaType: z.string(),
    digest: digestSchema,
    size: z.number().int().nonnegative(),
    artifactType: z.string().exactOptional(),
    annotations: annotationsSchema.exactOptional(),
  }),
});

/** What a registered name means: the artifact is the manifest in the repository, whose tag `latest` the name owns (RULES 27). */
export const modelNameRecord = z.strictObject({ v: z.literal(1), repository: repositoryNameSchema, digest: digestSchema });

export const modelRepositoryRecord = z.strictObject({ v: z.literal(1), name: z.string() });
export const modelFileRecord = z.strictObject({ v: z.literal(1), name: z.string() });
/** See `IncomingFile` for `identity`: another file in its place stays. */
export const modelFileRemovalRecord = z.strictObject({ v: z.literal(1), path: z.string(), identity: z.string() });

/** What the predecessor's API keeps of an artifact; its state and its times are those of the manifest's record alone. */
export const modelDetailsRecord = z.strictObject({
  v: z.literal(1),
  name: z.string(),
  /** As it was sent; `path` is its one spelling. */
  filename: z.string(),
  path: z.string(),
  format: z.enum(MODEL_FORMATS),
  /** The only layer. */
  blob: digestSchema,
  size: z.number().int().nonnegative(),
  source: z.string(),
  scanResults: scannerMapSchema,
  scannerVersions: scannerMapSchema,
  policyVersion: z.string(),
  sourceRevision: z.string(),
  fingerprint: fingerprintSchema,
  /** A tensor manifest beside the file, and the digest that it had when it was named; its path is empty when there is none. */
  tensorManifest: z.strictObject({ path: z.string(), digest: digestSchema.nullable() }),
  /** Which file was taken in, to tell it from one that took its place: device, inode, size and time of change; null when none was. */
  file: z.string().nullable(),
});
export type ModelDetails = z.infer<typeof modelDetailsRecord>;

/** Which file the first models are registered from. `under-way`: it goes on at the next start, with this very file only. */
export const firstModelsRecord = z.strictObject({ v: z.literal(1), digest: digestSchema, status: z.enum(["under-way", "done"]), at: time });
export type FirstModelsRecord = z.infer<typeof firstModelsRecord>;

/** Until when other changes of a repository wait for a revocation there. */
export const rightOfWayRecord = z.strictObject({ v: z.literal(1), until: time });

/** Who runs a job, until when, and when it is due again: a lease that ran out is anybody's. */
export const leaseRecord = z.strictObject({ v: z.literal(1), holder: z.string().nullable(), until: time, dueAt: time });
export type LeaseRecord = z.infer<typeof leaseRecord>;

/** How far a collection has come: first through the records of blobs, then through the files. */
export const collectionRecord = z.strictObject({
  v: z.literal(1),
  phase: z.enum(["records", "files"]),
  after: digestSchema.nullable(),
  /** How many of them, in both; what earlier versions began was not counted. */
  looked: z.number().int().nonnegative().exactOptional(),
});
export type CollectionRecord = z.infer<typeof collectionRecord>;

/** What the last look for metrics found: since when the oldest artifact waits for a decision, and how many keys end within a time. */
export const stockRecord = z.strictObject({
  v: z.literal(1),
  oldestWaiting: time.nullable(),
  expiring: z.record(z.enum(["1d", "7d", "30d"]), z.number().int().nonnegative()),
});
export type StockRecord = z.infer<typeof stockRecord>;

const count = z.number().int().nonnegative();

/** How far the signing of statements has come that an earlier version wrote unsigned. `signed`: how many so far. */
export const signingRecord = z.strictObject({
  v: z.literal(1),
  status: z.enum(["under-way", "done"]),
  /** Repository, artifact and sequence of the last link that was looked at. */
  after: z.tuple([z.string(), z.string(), z.number()]).nullable(),
  signed: count,
});
export type SigningRecord = z.infer<typeof signingRecord>;

/** How far what an earlier version left is indexed; `after` is the end of the last key that was looked at. */
export const indexingRecord = z.strictObject({
  v: z.literal(1),
  status: z.enum(["under-way", "done"]),
  after: z.array(z.union([z.string(), z.number()])).nullable(),
});
export type IndexingRecord = z.infer<typeof indexingRecord>;

/** How far a check of all blobs has come, or came. */
const verificationProgress = z.strictObject({
  id: z.string(),
  /** Who asked for it; null: it began by itself. */
  by: z.string().nullable(),
  startedAt: time,
  blobsChecked: count,
  bytesChecked: count,
  /** Damaged ones, those that are missing among them. */
  blobsDamaged: count,
  /** Those that the storage could not read, and the first of them. */
  blobsUnreadable: count,
  unreadable: z.array(digestSchema),
});

/** A check that is under way: all blobs up to `after` are done. */
const verificationRunRecord = z.strictObject({
  ...verificationProgress.shape,
  after: digestSchema.nullable(),
  /** Null where there are too many to count at the start. */
  blobsTotal: count.nullable(),
  /** The bytes of these, and those that were read of the one after `after`; a run of an earlier version has neither. */
  bytesTotal: count.nullable().exactOptional(),
  bytesUnderWay: count.exactOptional(),
});
export type VerificationRun = z.infer<typeof verificationRunRecord>;

/** A check that has ended. */
const verificationResultRecord = z.strictObject({
  ...verificationProgress.shape,
  endedAt: time,
  /** `error`: not every blob was looked at, or could be. */
  status: z.enum(["ok", "failed", "error"]),
  detail: z.string().nullable(),
  /** Artifacts with content, and those of them that reach a damaged blob. */
  artifactsChecked: count,
  artifactsFailed: count,
  /** Has its file been written, or been given up? */
  isPublished: z.boolean(),
});
export type VerificationResult = z.infer<typeof verificationResultRecord>;

/** The one check of all blobs that there may be at a time, and the one before. */
export const verificationRecord = z.strictObject({
  v: z.literal(1),
  /** When the last one began, or when it was first known that there was none. */
  since: time,
  current: verificationRunRecord.nullable(),
  last: verificationResultRecord.nullable(),
});
export type VerificationRecord = z.infer<typeof verificationRecord>;
