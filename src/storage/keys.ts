import { createHash } from "node:crypto";
import { type Digest, encodedOf } from "../oci/digest.ts";
import type { ModelFormat } from "../oci/model-name.ts";
import type { RepositoryName, Tag } from "../oci/reference.ts";
import type { State } from "../lifecycle/state.ts";
import type { Key, KeyRange } from "./metadata-store.ts";

/**
 * Every metadata key, as a tree. `<m>` is the sha256 digest of a manifest (its canonical name), `<d>` a digest as it was named.
 *
 *   change                            the driver's own: sequence of the last change
 *   audit-head                        the last link of the audit chain
 *   audit/<seq>                       a link of the audit chain
 *   namespace/<ns>                    who owns a namespace
 *   namespace-skeleton/<folded>       the namespace that every name that looks like it would be mistaken for
 *   quota/<ns>                        what a namespace may hold, where that is not what the configuration says
 *   usage/<ns>                      * what it holds
 *   usage-counted                   * that everything which is held is counted there
 *   state-total                     * how many artifacts are in each state
 *   state-day/<day>                 * by how many that grew on a day (UTC; days since 1970)
 *   identity/<name>                   an identity and its roles
 *   person-identity/<person>/<name>   the identities that count as one person for duties
 *   identity-credential/<name>/<id>   the credentials of an identity, oldest first
 *   credential/<id>                   an API key, refresh token or session, without its secret
 *   credential-secret/<hmac>          HMAC of a secret → id of the credential
 *   credential-use/<id>             * last use
 *   lockout/<what>                  * failed logins
 *   token-key/<kid>                   a signing key of access tokens
 *   token-key-active                  the one that signs now
 *   attestation-key/<sequence>        a key that signs or signed statements, with the statement by which the one before named it
 *   attestation-key-active            the sequence of the one that signs now
 *   repository/<repo>                 a repository, with the number of its trusted manifests
 *   repository-trusted/<repo>         exists while something there is trusted: the readers' catalog
 *   manifest/<repo>/<m>               the artifact record
 *   manifest-name/<repo>/<sha512>     the manifest's other name → <m>
 *   manifest-content/<repo>/<m>       the bytes as pushed
 *   manifest-repository/<m>/<repo>    the repositories that have a manifest
 *   artifact-state/<state>/<repo>/<m> artifacts by state
 *   artifact-recalled/<repo>/<m>      the revoked ones that were trusted: readers know of them
 *   waiting/<ns>/<time>/<repo>/<m>  * what waits for a decision, by the time when it was pushed, of a namespace and, as `*`, of all
 *   artifact-format/<format>/<repo>/<m>  * artifacts by the format of a file in them
 *   statement/<repo>/<m>/<seq>        the lifecycle chain, payloads included
 *   snapshot/<repo>/<m>             * the last signed snapshot of an artifact's chains
 *   decision/<repo>/<m>/<digest>      a promotion decision that was taken
 *   refusal/<repo>/<m>                the last decision that refused it, since it was trusted last
 *   covers/<repo>/<m>                 what the promotion of a root covers
 *   referrer/<repo>/<d>/<rank>/<m>    referrers of a subject, evidence first
 *   referrer-served/<repo>/<d>/<rank>/<m>  those that readers see: covered, trusted, or the registry's own
 *   referrer-by/<repo>/<d>/<person>/<rank>/<time>/<m>  * the same but for statements, by who attached them, their evidence first
 *   reading/<repo>/<m>              * what was read in a referrer when it was attached, with the verdicts that were found then
 *   link/<repo>/<d>                   the repository's own link to a blob
 *   link-use/<repo>/<d>             * when somebody last relied on a link that was no longer new
 *   blob-repository/<d>/<repo>        the same, by blob
 *   blob/<d>                          a published blob; whoever publishes it puts it
 *   blob-content/<d>                  the bytes of one that the registry itself wrote; of one that has no such row they are a file
 *   blob-use/<d>                      when a repository last began or ceased to hold a blob that was there already; puts do not hinder each other
 *   blob-damage/<d>                 * what was found of a blob, which counts while its record says that it is damaged
 *   blob-name/<d>                     the other name of bytes that were pushed by sha512 once, for either name; it stays when the blob goes
 *   blob-removal/<2 hex>              raised whenever the removal of a blob whose hex begins so is decided: absence has no version
 *   edge/<repo>/<kind>/<d>/<m>        <m>, not revoked, names <d>: as a blob (config, layer) or as a manifest (child)
 *   dead-edge/<repo>/<kind>/<d>/<m>   <m>, revoked, names <d>
 *   revoked-content/<repo>/<d>/<m>    <m>, whose revocation was not lifted, deleted or not, names the blob <d>
 *   barred-content/<d>/<m>/<repo>     the same of any repository, where that revocation is permanent or everywhere
 *   reach/<repo>/<kind>/<d>/<m>       the trusted root <m> reaches or covers <d>
 *   denied/<repo>/<kind>/<d>/<m>      the once-trusted, now revoked root (or branch) <m> did
 *   root-reach/<repo>/<m>/<kind>/<d>  the rows of one root in the two above
 *   tag-pushed/<repo>/<tag>           the last digest pushed
 *   tag-promoted/<repo>/<tag>         the last digest promoted
 *   tag-listed/<repo>/<tag>           exists while the promoted digest is trusted: the readers' list
 *   tag-of/<repo>/<m>/<tag>           the tags of a manifest
 *   revoked-everywhere/<d>            a manifest's digest, by both of its names
 *   everywhere-pending/<m>            a revocation everywhere whose statements are not all written yet
 *   tree-pending/<repo>/<m>/<id>    * a manifest whose folder in trusted/ a process has to make or remove
 *   model/<repo>/<m>                  what the predecessor's API keeps of an artifact besides its lifecycle
 *   model-name/<name>                 a name that was registered there: its repository, and the manifest that it means
 *   model-repository/<repo>           the name that a repository belongs to
 *   model-file/<sha256 of the path>   the name that a file of the data directory was registered under last
 *   model-file-removal/<the same>   * a file that is to go, since what was acquired from it is deleted
 *   model-event-head                  the last link of the predecessor's audit chain
 *   model-event/<seq>                 a link of it
 *   first-models/<file>               the lock file, or the predecessor's manifest, that the first models were registered from
 *   approval/<repo>/<m>/<generation>/<person>  who approved an artifact in this generation, as a person, withdrawn or not
 *   approval-statement/<repo>/<m>/<seq>  what was signed of approvals and their withdrawals, of all generations
 *   policy/<name>                     the last version of a promotion policy, and whether it is in force
 *   policy-version/<name>/<version>   a version of it, which stays
 *   policy-epoch                      raised by every change of what is in force
 *   revoked-authority/<d>             who is believed no more, by the statement that says so, while that holds
 *   signer/<hash>                   * somebody whose evidence a decision took, by the hash of what tells signers apart
 *   signer-artifact/<hash>/<repo>/<m>  * the artifacts about which it was
 *   followed/<repo>/<m>             * by which revoked authority an artifact was looked at last, where several signers led to it
 *   registry-statement/<seq>          what the registry states of itself: policies, trust roots, revoked authorities
 *   trust-root/<name>/<d>             a Sigstore trusted root under the name that policies give it
 *   trust-root-ended/<name>/<d>       one that policies may name no more
 *   trust-root-update/<name>/<d>      what the last update by TUF brought; <d> is the root metadata that the first one began with
 *   trust-root-content/<d>            the bytes of a trust root, which stay
 *   right-of-way/<repo>             * a revocation there that others were quicker than, which they have to wait for now
 *   serving-epoch                     raised by every change that can end a download
 *   lease/<job>                     * who runs a job
 *   job/<name>                      * how far a job has come
 *
 * Keys marked * are operational: a change of these alone needs no audit event.
 */
const OPERATIONAL: ReadonlySet<string> = new Set([
  "usage",
  "usage-counted",
  "referrer-by",
  "state-total",
  "state-day",
  "reading",
  "credential-use",
  "lockout",
  "link-use",
  "blob-damage",
  "snapshot",
  "tree-pending",
  "model-file-removal",
  "right-of-way",
  "waiting",
  "artifact-format",
  "signer",
  "signer-artifact",
  "followed",
  "lease",
  "job",
]);

/** May a change of this key go without an audit event? */
export function isOperational(key: Key): boolean {
  return OPERATIONAL.has(key[0]);
}

/**
 * What a manifest names, and a root reaches: as a blob or as a manifest. The same bytes can be both, and one says nothing of the other
 * (RULES 1).
 */
export const CONTENT_KINDS = ["blob", "manifest"] as const;
export interface Content {
  readonly kind: (typeof CONTENT_KINDS)[number];
  readonly digest: Digest;
}

/** The files by which an empty store gets its first models. */
export type FirstModelsFile = "boot-lock" | "predecessor-manifest";

/** Sorts after every text and number that a key holds. */
export const LAST = "\u{10ffff}";

/** All keys that begin with a prefix, from after a given rest of a key (exclusive), at most `limit`. */
export function under(prefix: Key, limit: number, after: readonly (string | number)[] = []): KeyRange {
  return { start: after.length === 0 ? prefix : [...prefix, ...after, ""], end: [...prefix, LAST], limit };
}

/** All keys of a family whose next part begins with a text, at most `limit`. */
export function beginning(family: Key, text: string, limit: number): KeyRange {
  return { start: [...family, text], end: [...family, `${text}${LAST}`], limit };
}

/** Of a path, which may be longer than a key. */
function hashOf(path: string): string {
  return createHash("sha256").update(path).digest("hex");
}

export const keys = {
  auditHead: (): Key => ["audit-head"],
  audit: (sequence: number): Key => ["audit", sequence],
  audits: (): Key => ["audit"],
  namespace: (name: string): Key => ["namespace", name],
  namespaces: (): Key => ["namespace"],
  namespaceSkeleton: (folded: string): Key => ["namespace-skeleton", folded],
  quota: (namespace: string): Key => ["quota", namespace],
  usage: (namespace: string): Key => ["usage", namespace],
  usages: (): Key => ["usage"],
  usageCounted: (): Key => ["usage-counted"],
  stateTotal: (): Key => ["state-total"],
  stateDay: (day: number): Key => ["state-day", day],
  stateDays: (): Key => ["state-day"],
  identity: (name: string): Key => ["identity", name],
  identities: (): Key => ["identity"],
  personIdentity: (person: string, name: string): Key => ["person-identity", person, name],
  personIdentities: (person: string): Key => ["person-identity", person],
  identityCredential: (identity: string, id: string): Key => ["identity-credential", identity, id],
  identityCredentials: (identity: string): Key => ["identity-credential", identity],
  identitiesCredentials: (): Key => ["identity-credential"],
  credential: (id: string): Key => ["credential", id],
  credentials: (): Key => ["credential"],
  credentialSecret: (hmac: string): Key => ["credential-secret", hmac],
  credentialUse: (id: string): Key => ["credential-use", id],
  lockout: (what: string): Key => ["lockout", what],
  lockouts: (): Key => ["lockout"],
  tokenKey: (kid: string): Key => ["token-key", kid],
  tokenKeys: (): Key => ["token-key"],
  activeTokenKey: (): Key => ["token-key-active"],
  attestationKey: (sequence: number): Key => ["attestation-key", sequence],
  attestationKeys: (): Key => ["attestation-key"],
  activeAttestationKey: (): Key => ["attestation-key-active"],
  repository: (repository: RepositoryName): Key => ["repository", repository],
  repositories: (): Key => ["repository"],
  trustedRepository: (repository: RepositoryName): Key => ["repository-trusted", repository],
  trustedRepositories: (): Key => ["repository-trusted"],
  manifest: (repository: RepositoryName, manifest: Digest): Key => ["manifest", repository, manifest],
  manifests: (repository?: RepositoryName): Key => (repository === undefined ? ["manifest"] : ["manifest", repository]),
  manifestName: (repository: RepositoryName, sha512: Digest): Key => ["manifest-name", repository, sha512],
  manifestContent: (repository: RepositoryName, manifest: Digest): Key => ["manifest-content", repository, manifest],
  manifestRepository: (manifest: Digest, repository: RepositoryName): Key => ["manifest-repository", manifest, repository],
  manifestRepositories: (manifest: Digest): Key => ["manifest-repository", manifest],
  manifestsRepositories: (): Key => ["manifest-repository"],
  artifactState: (state: State, repository: RepositoryName, manifest: Digest): Key => ["artifact-state", state, repository, manifest],
  artifactsIn: (state: State, repository?: RepositoryName): Key =>
    repository === undefined ? ["artifact-state", state] : ["artifact-state", state, repository],
  artifactRecalled: (repository: RepositoryName, manifest: Digest): Key => ["artifact-recalled", repository, manifest],
  artifactsRecalled: (): Key => ["artifact-recalled"],
  waiting: (scope: string, since: number, repository: RepositoryName, manifest: Digest): Key => [
    "waiting",
    scope,
    since,
    repository,
    manifest,
  ],
  waitings: (scope: string): Key => ["waiting", scope],
  artifactFormat: (format: ModelFormat, repository: RepositoryName, manifest: Digest): Key => [
    "artifact-format",
    format,
    repository,
    manifest,
  ],
  artifactsOfFormat: (format: ModelFormat): Key => ["artifact-format", format],
  statement: (repository: RepositoryName, manifest: Digest, sequence: number): Key => ["statement", repository, manifest, sequence],
  statements: (repository: RepositoryName, manifest: Digest): Key => ["statement", repository, manifest],
  allStatements: (): Key => ["statement"],
  snapshot: (repository: RepositoryName, manifest: Digest): Key => ["snapshot", repository, manifest],
  decision: (repository: RepositoryName, manifest: Digest, decision: Digest): Key => ["decision", repository, manifest, decision],
  refusal: (repository: RepositoryName, manifest: Digest): Key => ["refusal", repository, manifest],
  refusals: (): Key => ["refusal"],
  allDecisions: (): Key => ["decision"],
  covers: (repository: RepositoryName, manifest: Digest): Key => ["covers", repository, manifest],
  referrer: (repository: RepositoryName, subject: Digest, rank: number, manifest: Digest): Key => [
    "referrer",
    repository,
    subject,
    rank,
    manifest,
  ],
  referrers: (repository: RepositoryName, subject: Digest): Key => ["referrer", repository, subject],
  referrersIn: (repository: RepositoryName): Key => ["referrer", repository],
  referrerServed: (repository: RepositoryName, subject: Digest, rank: number, manifest: Digest): Key => [
    "referrer-served",
    repository,
    subject,
    rank,
    manifest,
  ],
  referrersServed: (repository: RepositoryName, subject: Digest): Key => ["referrer-served", repository, subject],
  allReferrers: (): Key => ["referrer"],
  referrerBy: (
    repository: RepositoryName,
    subject: Digest,
    person: string,
    place: readonly [rank: number, at: number, of: Digest],
  ): Key => ["referrer-by", repository, subject, person, ...place],
  referrersBy: (repository: RepositoryName, subject: Digest, person?: string): Key =>
    person === undefined ? ["referrer-by", repository, subject] : ["referrer-by", repository, subject, person],
  referrersByIn: (repository: RepositoryName): Key => ["referrer-by", repository],
  reading: (repository: RepositoryName, manifest: Digest): Key => ["reading", repository, manifest],
  link: (repository: RepositoryName, blob: Digest): Key => ["link", repository, blob],
  links: (repository: RepositoryName): Key => ["link", repository],
  linkUse: (repository: RepositoryName, blob: Digest): Key => ["link-use", repository, blob],
  blobRepository: (blob: Digest, repository: RepositoryName): Key => ["blob-repository", blob, repository],
  blobRepositories: (blob: Digest): Key => ["blob-repository", blob],
  blob: (blob: Digest): Key => ["blob", blob],
  blobs: (): Key => ["blob"],
  blobContent: (blob: Digest): Key => ["blob-content", blob],
  blobContents: (): Key => ["blob-content"],
  blobUse: (blob: Digest): Key => ["blob-use", blob],
  blobDamage: (blob: Digest): Key => ["blob-damage", blob],
  blobDamages: (): Key => ["blob-damage"],
  blobName: (blob: Digest): Key => ["blob-name", blob],
  blobRemoval: (blob: Digest): Key => ["blob-removal", encodedOf(blob).slice(0, 2)],
  edge: (repository: RepositoryName, { kind, digest }: Content, parent: Digest): Key => ["edge", repository, kind, digest, parent],
  edges: (repository: RepositoryName, { kind, digest }: Content): Key => ["edge", repository, kind, digest],
  deadEdge: (repository: RepositoryName, { kind, digest }: Content, parent: Digest): Key => ["dead-edge", repository, kind, digest, parent],
  deadEdges: (repository: RepositoryName, { kind, digest }: Content): Key => ["dead-edge", repository, kind, digest],
  revokedContent: (repository: RepositoryName, blob: Digest, manifest: Digest): Key => ["revoked-content", repository, blob, manifest],
  revokedContents: (repository: RepositoryName, blob: Digest): Key => ["revoked-content", repository, blob],
  barredContent: (blob: Digest, manifest: Digest, repository: RepositoryName): Key => ["barred-content", blob, manifest, repository],
  barredContents: (blob: Digest): Key => ["barred-content", blob],
  reach: (repository: RepositoryName, { kind, digest }: Content, root: Digest): Key => ["reach", repository, kind, digest, root],
  allReaches: (): Key => ["reach"],
  reaches: (repository: RepositoryName, { kind, digest }: Content): Key => ["reach", repository, kind, digest],
  manifestReaches: (repository: RepositoryName): Key => ["reach", repository, "manifest"],
  denied: (repository: RepositoryName, { kind, digest }: Content, root: Digest): Key => ["denied", repository, kind, digest, root],
  denials: (repository: RepositoryName, { kind, digest }: Content): Key => ["denied", repository, kind, digest],
  manifestDenials: (repository: RepositoryName): Key => ["denied", repository, "manifest"],
  rootReach: (repository: RepositoryName, root: Digest, { kind, digest }: Content): Key => ["root-reach", repository, root, kind, digest],
  rootReaches: (repository: RepositoryName, root: Digest): Key => ["root-reach", repository, root],
  tagPushed: (repository: RepositoryName, tag: Tag): Key => ["tag-pushed", repository, tag],
  tagsPushed: (repository: RepositoryName): Key => ["tag-pushed", repository],
  tagPromoted: (repository: RepositoryName, tag: Tag): Key => ["tag-promoted", repository, tag],
  tagListed: (repository: RepositoryName, tag: Tag): Key => ["tag-listed", repository, tag],
  tagsListed: (repository: RepositoryName): Key => ["tag-listed", repository],
  tagOf: (repository: RepositoryName, manifest: Digest, tag: Tag): Key => ["tag-of", repository, manifest, tag],
  tagsOf: (repository: RepositoryName, manifest: Digest): Key => ["tag-of", repository, manifest],
  revokedEverywhere: (digest: Digest): Key => ["revoked-everywhere", digest],
  allRevokedEverywhere: (): Key => ["revoked-everywhere"],
  everywherePending: (manifest: Digest): Key => ["everywhere-pending", manifest],
  everywheresPending: (): Key => ["everywhere-pending"],
  treePending: (repository: RepositoryName, manifest: Digest, id: string): Key => ["tree-pending", repository, manifest, id],
  treesPendingOf: (repository: RepositoryName, manifest: Digest): Key => ["tree-pending", repository, manifest],
  treesPending: (): Key => ["tree-pending"],
  model: (repository: RepositoryName, manifest: Digest): Key => ["model", repository, manifest],
  modelName: (name: string): Key => ["model-name", name],
  modelNames: (): Key => ["model-name"],
  modelRepository: (repository: RepositoryName): Key => ["model-repository", repository],
  modelFile: (path: string): Key => ["model-file", hashOf(path)],
  modelFileRemoval: (path: string): Key => ["model-file-removal", hashOf(path)],
  modelFileRemovals: (): Key => ["model-file-removal"],
  modelEventHead: (): Key => ["model-event-head"],
  modelEvent: (sequence: number): Key => ["model-event", sequence],
  modelEvents: (): Key => ["model-event"],
  firstModels: (file: FirstModelsFile): Key => ["first-models", file],
  approval: (repository: RepositoryName, manifest: Digest, generation: number, person: string): Key => [
    "approval",
    repository,
    manifest,
    generation,
    person,
  ],
  approvals: (repository: RepositoryName, manifest: Digest, generation: number): Key => ["approval", repository, manifest, generation],
  allApprovals: (): Key => ["approval"],
  approvalStatement: (repository: RepositoryName, manifest: Digest, sequence: number): Key => [
    "approval-statement",
    repository,
    manifest,
    sequence,
  ],
  approvalStatements: (repository: RepositoryName, manifest: Digest): Key => ["approval-statement", repository, manifest],
  policy: (name: string): Key => ["policy", name],
  policies: (): Key => ["policy"],
  policyVersion: (name: string, version: number): Key => ["policy-version", name, version],
  policyEpoch: (): Key => ["policy-epoch"],
  revokedAuthority: (statement: Digest): Key => ["revoked-authority", statement],
  revokedAuthorities: (): Key => ["revoked-authority"],
  signer: (hash: string): Key => ["signer", hash],
  signers: (): Key => ["signer"],
  signerArtifact: (hash: string, repository: RepositoryName, manifest: Digest): Key => ["signer-artifact", hash, repository, manifest],
  signerArtifacts: (hash: string): Key => ["signer-artifact", hash],
  followed: (repository: RepositoryName, manifest: Digest): Key => ["followed", repository, manifest],
  registryStatement: (sequence: number): Key => ["registry-statement", sequence],
  registryStatements: (): Key => ["registry-statement"],
  trustRoot: (name: string, digest: Digest): Key => ["trust-root", name, digest],
  trustRoots: (): Key => ["trust-root"],
  endedTrustRoot: (name: string, digest: Digest): Key => ["trust-root-ended", name, digest],
  trustRootUpdate: (name: string, rootDigest: Digest): Key => ["trust-root-update", name, rootDigest],
  trustRootUpdates: (name?: string): Key => (name === undefined ? ["trust-root-update"] : ["trust-root-update", name]),
  trustRootContent: (digest: Digest): Key => ["trust-root-content", digest],
  rightOfWay: (repository: RepositoryName): Key => ["right-of-way", repository],
  servingEpoch: (): Key => ["serving-epoch"],
  lease: (job: string): Key => ["lease", job],
  leases: (): Key => ["lease"],
  job: (name: string): Key => ["job", name],
} as const;
