import { z } from "zod";
import { artifactAnswer, artifactHistory, artifactList, promotedTagAnswer } from "../api/artifact-answers.ts";
import { auditPageSchema } from "../api/audit.ts";
import { liftedAuthority, revokedAuthorityList, revokedAuthorityView } from "../api/authorities.ts";
import { createdCredentialView, credentialList, credentialView } from "../api/credentials.ts";
import { decisionAnswer } from "../api/decision.ts";
import { healthAnswer } from "../api/health.ts";
import { allVerified, cancelAnswer, modelNotVerified, modelVerified, verificationAnswer } from "../api/integrity.ts";
import { publicKeyList, publicKeyView } from "../api/keys.ts";
import { layoutReport } from "../api/layout-report.ts";
import { modelAnswer, modelList, modelPathAnswer, modelStatusAnswer, tensorManifestAnswer } from "../api/models.ts";
import { namespaceDetails, namespaceList, namespaceView } from "../api/namespaces.ts";
import { endedTrustRoots, policyList, policyVersionView, policyView, trustRootList, trustRootView } from "../api/policies.ts";
import { policyReplay } from "../api/policy-replay.ts";
import { lockFileSchema } from "../audit/lock-file.ts";
import { tensorManifestSchema } from "../formats/tensor-manifest.ts";
import { digestSchema } from "../oci/digest.ts";
import { repositoryNameSchema, tagSchema } from "../oci/reference.ts";
import { policyValueSchema } from "../policy/change.ts";
import { policyDiffSchema } from "../policy/diff.ts";
import { manifestCheckSchema, manifestDiffSchema } from "../scan/answer.ts";

/** What `--json` prints: the registry's answers as they are published for it, and what securectl itself puts together. */

const count = z.int().nonnegative();
const file = z.strictObject({ digest: digestSchema, size: count, media_type: z.string() });

const pushReport = z.strictObject({
  repository: repositoryNameSchema,
  tag: tagSchema.nullable(),
  digest: digestSchema,
  artifact_type: z.string(),
  size_bytes: count.describe("of all layers"),
  layers: z.array(file.extend({ title: z.string().optional().describe("the file's name") })),
});
/** What was pushed. */
export type PushReport = z.infer<typeof pushReport>;

const pullReport = z.strictObject({
  repository: repositoryNameSchema,
  tag: tagSchema.nullable(),
  digest: digestSchema,
  files: z.array(file.extend({ path: z.string().describe("below the folder that was named") })),
});
/** What was pulled. */
export type PullReport = z.infer<typeof pullReport>;

const tagList = z.strictObject({ repository: repositoryNameSchema, tags: z.array(z.string()) });
/** The tags of a repository. */
export type TagList = z.infer<typeof tagList>;

const removedTag = z.strictObject({ repository: repositoryNameSchema, tag: tagSchema, pushed: z.null() });
/** A tag whose pushed pointer was removed. */
export type RemovedTag = z.infer<typeof removedTag>;

const referrer = z.strictObject({
  digest: digestSchema,
  mediaType: z.string(),
  artifactType: z.string().nullish(),
  annotations: z.record(z.string(), z.string()).nullish(),
  of_registry: z.boolean().describe("is it a statement of the registry, by its own history of the subject, and none that only looks so?"),
  get referrers(): z.ZodArray<typeof referrer> {
    return z.array(referrer);
  },
});
const referrerTree = z.strictObject({ repository: repositoryNameSchema, digest: digestSchema, referrers: z.array(referrer) });
/** An artifact with what is attached to it, and to that. */
export type ReferrerTree = z.infer<typeof referrerTree>;
/** What is attached, with what is attached to that. */
export type Referrer = z.infer<typeof referrer>;

const exportReport = z.strictObject({
  repository: repositoryNameSchema,
  digest: digestSchema,
  state: z.string(),
  place: z.string().describe("of the layout that was written"),
  entries: count.describe("of its index"),
  blobs: count,
  size: count.describe("bytes of all blobs"),
  taken_at: z.string(),
  expires_at: z.string(),
  left_out: z.array(z.strictObject({ digest: z.string(), because: z.string() })).readonly(),
});
/** What was exported. */
export type ExportReport = z.infer<typeof exportReport>;

const repositoryExportReport = exportReport.omit({ digest: true, state: true }).extend({
  artifacts: z.array(z.strictObject({ digest: digestSchema, state: z.string(), tags: z.array(z.string()) })),
});
/** What of a repository was exported. */
export type RepositoryExportReport = z.infer<typeof repositoryExportReport>;

const importReport = z.strictObject({
  repository: repositoryNameSchema,
  place: z.string().describe("of the layout that was read"),
  artifacts: z.array(
    z.strictObject({
      digest: digestSchema,
      artifact_type: z.string().nullable(),
      state: z.string().describe("quarantined, unless this registry trusted it before"),
      tags: z.array(tagSchema),
    }),
  ),
  attached: count.describe("manifests that are attached to the artifacts, with their parts"),
  blobs: count,
  size: count.describe("bytes of all blobs"),
  sent: z
    .strictObject({ blobs: count, bytes: count.describe("of blobs"), manifests: count, tags: count })
    .describe("what was not there yet"),
  left_out: z.array(z.strictObject({ digest: digestSchema, because: z.string() })),
});
/** What was imported. */
export type ImportReport = z.infer<typeof importReport>;

const written = z.strictObject({ file: z.string(), manifest: z.string(), size_bytes: count });
/** A tensor manifest that was written into a file. */
export type WrittenTensorManifest = z.infer<typeof written>;

const tensorManifestFailed = z.strictObject({ error: z.string(), name: z.string(), status: z.literal("failed") });

const writtenLockFile = z.strictObject({ file: z.string(), digest: digestSchema, models: count });
/** A lock file that was written. */
export type WrittenLockFile = z.infer<typeof writtenLockFile>;

const checkedEntry = z.strictObject({
  entry: count.describe("its place, from 1"),
  line: count,
  name: z.string(),
  status: z
    .enum(["read", "intact", "needless", "failed", "refused"])
    .describe("read: no bytes were looked at; needless: it has none; refused: the registry would not take it"),
  reason: z.string().optional(),
});
/** What a check of an entry of a lock file found. */
export type CheckedEntry = z.infer<typeof checkedEntry>;

const lockVerification = z.strictObject({
  file: z.string(),
  digest: digestSchema,
  fault: z.string().optional().describe("what is wrong with the file as a whole"),
  entries: z.array(checkedEntry).readonly(),
});
/** What a check of a lock file found. */
export type LockVerification = z.infer<typeof lockVerification>;

const auditList = auditPageSchema.pick({ events: true, next: true });

const auditProof = z.strictObject({
  intact: z.boolean(),
  checked: count,
  head: z.strictObject({ sequence: count, hash: z.string().regex(/^sha256:[0-9a-f]{64}$/) }).nullable(),
  broken: z.strictObject({ sequence: count, reason: z.string() }).nullable(),
});
/** What a proof of the audit chain showed. */
export type AuditProof = z.infer<typeof auditProof>;

const doctorReport = z.strictObject({
  healthy: z.boolean().describe("nothing fails"),
  checks: z.array(z.strictObject({ name: z.string(), status: z.enum(["ok", "warn", "fail"]), message: z.string() })),
});
/** What doctor found. */
export type DoctorReport = z.infer<typeof doctorReport>;

/** Everything that is printed, by the names of the published document. */
export const definitions = {
  AllVerified: allVerified,
  Artifact: artifactAnswer,
  ArtifactHistory: artifactHistory,
  ArtifactList: artifactList,
  AuditList: auditList,
  AuditProof: auditProof,
  CancelledVerification: cancelAnswer,
  CreatedCredential: createdCredentialView,
  Credential: credentialView,
  CredentialList: credentialList.pick({ credentials: true }),
  Decision: decisionAnswer,
  DoctorReport: doctorReport,
  EndedTrustRoots: endedTrustRoots,
  ExportReport: exportReport,
  Health: healthAnswer,
  ImportReport: importReport,
  LayoutReport: layoutReport,
  LiftedAuthority: liftedAuthority,
  LockFile: lockFileSchema,
  LockVerification: lockVerification,
  Model: modelAnswer,
  ModelList: modelList,
  ModelNotVerified: modelNotVerified,
  ModelPath: modelPathAnswer,
  ModelStatus: modelStatusAnswer,
  ModelVerified: modelVerified,
  Namespace: namespaceView,
  NamespaceDetails: namespaceDetails,
  NamespaceList: namespaceList.pick({ namespaces: true }),
  Policy: policyView,
  PolicyDifference: policyDiffSchema,
  PolicyList: policyList,
  PolicyReplay: policyReplay,
  PolicyValue: policyValueSchema,
  PolicyVersion: policyVersionView,
  PromotedTag: promotedTagAnswer,
  PublicKey: publicKeyView,
  PublicKeyList: publicKeyList,
  PullReport: pullReport,
  PushReport: pushReport,
  Referrer: referrer,
  ReferrerTree: referrerTree,
  RemovedTag: removedTag,
  RepositoryExportReport: repositoryExportReport,
  RevokedAuthority: revokedAuthorityView,
  RevokedAuthorityList: revokedAuthorityList,
  TagList: tagList,
  TensorManifest: tensorManifestSchema,
  TensorManifestCheck: manifestCheckSchema,
  TensorManifestDifference: manifestDiffSchema,
  TensorManifestFailed: tensorManifestFailed,
  TensorManifestVerified: tensorManifestAnswer,
  TrustRoot: trustRootView,
  TrustRootList: trustRootList,
  Verification: verificationAnswer,
  WrittenLockFile: writtenLockFile,
  WrittenTensorManifest: written,
} as const satisfies Readonly<Record<string, z.ZodType>>;
type Definition = keyof typeof definitions;

/** What each command prints: one of these. A command that is not here prints no JSON. */
export const commandOutputs = {
  acquire: ["Model"],
  approve: ["Artifact"],
  audit: ["AuditList"],
  "audit verify": ["AuditProof"],
  delete: ["Artifact", "ModelStatus"],
  discover: ["ReferrerTree"],
  doctor: ["DoctorReport"],
  evaluate: ["Decision"],
  export: ["ExportReport", "RepositoryExportReport"],
  history: ["ArtifactHistory"],
  import: ["ImportReport"],
  info: ["Artifact", "Model"],
  "key create": ["CreatedCredential"],
  "key list": ["CredentialList"],
  "key revoke": ["Credential"],
  "key rotate": ["CreatedCredential"],
  list: ["ArtifactList", "ModelList"],
  "lock generate": ["LockFile", "WrittenLockFile"],
  "lock verify": ["LockVerification"],
  "namespace create": ["Namespace"],
  "namespace list": ["NamespaceList"],
  "namespace quota": ["NamespaceDetails"],
  "namespace show": ["NamespaceDetails"],
  path: ["ModelPath"],
  "policy apply": ["PolicyVersion"],
  "policy delete": ["PolicyVersion"],
  "policy diff": ["PolicyDifference"],
  "policy explain": ["Decision"],
  "policy list": ["PolicyList"],
  "policy replay": ["PolicyReplay"],
  "policy show": ["Policy"],
  "policy test": ["Decision"],
  promote: ["Artifact", "Decision"],
  pull: ["PullReport"],
  push: ["PushReport"],
  quarantine: ["Artifact"],
  revoke: ["Artifact", "ModelStatus"],
  "signing-key list": ["PublicKeyList"],
  "signing-key rotate": ["PublicKey"],
  "signing-key show": ["PublicKey"],
  status: ["Health"],
  "tag list": ["TagList"],
  "tag promote": ["PromotedTag"],
  "tag remove": ["PromotedTag", "RemovedTag"],
  "tag rollback": ["PromotedTag"],
  "tensor-manifest diff": ["TensorManifestDifference"],
  "tensor-manifest generate": ["TensorManifest", "WrittenTensorManifest"],
  "tensor-manifest verify": ["TensorManifestCheck"],
  "trust add": ["TrustRoot"],
  "trust delete": ["EndedTrustRoots"],
  "trust lift-authority": ["LiftedAuthority"],
  "trust list": ["TrustRootList"],
  "trust revoke-authority": ["RevokedAuthority"],
  "trust revoked": ["RevokedAuthorityList"],
  "trust update": ["TrustRoot"],
  verify: ["ModelNotVerified", "ModelVerified"],
  "verify-all": ["AllVerified", "CancelledVerification", "Verification"],
  "verify-layout": ["LayoutReport"],
  "verify-manifest": ["TensorManifestFailed", "TensorManifestVerified"],
} as const satisfies Readonly<Record<string, readonly Definition[]>>;
