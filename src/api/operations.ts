import type { z } from "zod";
import { fingerprintSchema, modelEventSchema, modelNameSchema, scannerMapSchema, sha256HexSchema } from "../audit/model-event.ts";
import { jsonValueSchema } from "../audit/event.ts";
import { stateSchema } from "../lifecycle/state.ts";
import { digestSchema } from "../oci/digest.ts";
import { repositoryNameSchema, tagSchema } from "../oci/reference.ts";
import { artifactAnswer, artifactHistory, artifactList, listedArtifact, promotedTagAnswer } from "./artifact-answers.ts";
import { artifactOperations } from "./artifact-operations.ts";
import {
  approveRequest,
  evaluateRequest,
  promoteRequest,
  promotedTagRequest,
  quarantineRequest,
  removePromotedTagRequest,
  revokeRequest,
} from "./artifacts.ts";
import { authorityOperations } from "./authority-operations.ts";
import {
  liftAuthorityRequest,
  liftedAuthority,
  revokeAuthorityRequest,
  revokedAuthorityList,
  revokedAuthorityView,
} from "./authorities.ts";
import { auditAnswer, auditEntrySchema, auditPageSchema, auditVerificationSchema } from "./audit.ts";
import { createCredentialRequest, createdCredentialView, credentialList, credentialView, rotateCredentialRequest } from "./credentials.ts";
import { decisionAnswer } from "./decision.ts";
import { scanEvidence } from "./evidence.ts";
import { healthAnswer, notReadyAnswer, probeAnswer, readyAnswer } from "./health.ts";
import { integrityOperations } from "./integrity-operations.ts";
import { allVerified, cancelAnswer, modelNotVerified, modelVerified, verificationAnswer } from "./integrity.ts";
import { publicKeyList, publicKeyView, rotateSigningKeyRequest } from "./keys.ts";
import { modelOperations } from "./model-operations.ts";
import {
  acquireRequest,
  modelAnswer,
  modelList,
  modelPathAnswer,
  modelStatusAnswer,
  promoteModelRequest,
  statsAnswer,
  tensorManifestAnswer,
} from "./models.ts";
import { createNamespaceRequest, namespaceDetails, namespaceList, namespaceView, setQuotaRequest } from "./namespaces.ts";
import type { Operation } from "./operation.ts";
import { policyOperations } from "./policy-operations.ts";
import {
  endedTrustRoots,
  policyDocument,
  policyList,
  policyVersionView,
  policyView,
  trustRootDocument,
  trustRootList,
  trustRootView,
  updateTrustRootRequest,
} from "./policies.ts";
import { replayPage, replayRequest } from "./policy-replay.ts";
import { predecessorError, predecessorRefusal, problem, refusedPromotion } from "./problem.ts";
import { registryOperations } from "./registry-operations.ts";
import { snapshotAnswer } from "./snapshot.ts";
import { statementOperations } from "./statement-operations.ts";
import { statementPage, statementView } from "./statements.ts";
import { timeSchema } from "./time.ts";
import { whoamiAnswer } from "./whoami.ts";

/** Every door but those of `/v2` and `/auth`, which the distribution specification describes, and the pages, which are for people. */
export const operations: readonly Operation[] = [
  ...artifactOperations,
  ...modelOperations,
  ...integrityOperations,
  ...registryOperations,
  ...policyOperations,
  ...statementOperations,
  ...authorityOperations,
];

type Named = Readonly<Record<string, z.ZodType>>;

/** What requests and answers are made of, by the names of the published document. */
export const vocabulary: Named = {
  Digest: digestSchema,
  Fingerprint: fingerprintSchema,
  JsonValue: jsonValueSchema,
  ModelName: modelNameSchema,
  RepositoryName: repositoryNameSchema,
  ScannerMap: scannerMapSchema,
  Sha256: sha256HexSchema,
  State: stateSchema,
  Tag: tagSchema,
  Time: timeSchema,
};

/** Bodies of requests by name. */
export const requests: Named = {
  AcquireModel: acquireRequest,
  ApproveArtifact: approveRequest,
  CreateCredential: createCredentialRequest,
  CreateNamespace: createNamespaceRequest,
  EvaluatePromotion: evaluateRequest,
  PolicyDocument: policyDocument,
  PromoteArtifact: promoteRequest,
  PromoteModel: promoteModelRequest,
  QuarantineArtifact: quarantineRequest,
  RemovePromotedTag: removePromotedTagRequest,
  LiftAuthority: liftAuthorityRequest,
  RevokeAuthority: revokeAuthorityRequest,
  ReplayPolicy: replayRequest,
  RevokeArtifact: revokeRequest,
  RotateCredential: rotateCredentialRequest,
  RotateSigningKey: rotateSigningKeyRequest,
  SetPromotedTag: promotedTagRequest,
  SetQuota: setQuotaRequest,
  TrustRootDocument: trustRootDocument,
  UpdateTrustRoot: updateTrustRootRequest,
};

/** Bodies of answers by name. */
export const answers: Named = {
  AllVerified: allVerified,
  Artifact: artifactAnswer,
  ArtifactHistory: artifactHistory,
  ArtifactList: artifactList,
  AuditAnswer: auditAnswer,
  AuditEvent: auditEntrySchema,
  AuditPage: auditPageSchema,
  AuditVerification: auditVerificationSchema,
  CancelledVerification: cancelAnswer,
  CreatedCredential: createdCredentialView,
  Credential: credentialView,
  CredentialList: credentialList,
  Decision: decisionAnswer,
  EndedTrustRoots: endedTrustRoots,
  Health: healthAnswer,
  LiftedAuthority: liftedAuthority,
  ListedArtifact: listedArtifact,
  Model: modelAnswer,
  ModelEvent: modelEventSchema,
  ModelList: modelList,
  ModelNotVerified: modelNotVerified,
  ModelPath: modelPathAnswer,
  ModelStatus: modelStatusAnswer,
  ModelVerified: modelVerified,
  Namespace: namespaceView,
  NamespaceDetails: namespaceDetails,
  NamespaceList: namespaceList,
  Whoami: whoamiAnswer,
  NotReady: notReadyAnswer,
  Policy: policyView,
  PolicyList: policyList,
  PolicyReplayPage: replayPage,
  PolicyVersion: policyVersionView,
  PredecessorError: predecessorError,
  PredecessorRefusal: predecessorRefusal,
  Probe: probeAnswer,
  Ready: readyAnswer,
  Problem: problem,
  PromotedTag: promotedTagAnswer,
  PublicKey: publicKeyView,
  PublicKeyList: publicKeyList,
  RefusedPromotion: refusedPromotion,
  RevokedAuthority: revokedAuthorityView,
  RevokedAuthorityList: revokedAuthorityList,
  ScanEvidence: scanEvidence,
  Snapshot: snapshotAnswer,
  Statement: statementView,
  StatementPage: statementPage,
  Stats: statsAnswer,
  TensorManifestVerified: tensorManifestAnswer,
  TrustRoot: trustRootView,
  TrustRootList: trustRootList,
  Verification: verificationAnswer,
};
