import { z } from "zod";
import { auditAnswer, auditQuerySchema, auditVerificationSchema } from "./audit.ts";
import {
  createCredentialRequest,
  createdCredentialView,
  credentialList,
  credentialView,
  listCredentialsRequest,
  rotateCredentialRequest,
} from "./credentials.ts";
import { healthAnswer, notReadyAnswer, probeAnswer } from "./health.ts";
import { publicKeyList, publicKeyView, rotateSigningKeyRequest } from "./keys.ts";
import { createNamespaceRequest, listNamespacesRequest, namespaceList, namespaceView } from "./namespaces.ts";
import type { Operation } from "./operation.ts";
import { whoamiAnswer } from "./whoami.ts";

const audit = { chapter: "audit", access: { permission: "audit", on: "registry" }, method: "GET", refuses: [] } as const;
const administration = { chapter: "administration", access: "credential" } as const;
const credentialId = { id: z.string().regex(/^[\w-]{1,64}$/) };
const health = { chapter: "health", method: "GET", refuses: [] } as const;

/** The audit, namespaces, credentials, keys and health (interface.md §4, §7 and §8). */
export const registryOperations: readonly Operation[] = [
  {
    ...audit,
    path: "/v1/audit",
    id: "listAuditEvents",
    summary: "List what happened; to the service token without parameters, the predecessor's audit chain",
    query: auditQuerySchema.shape,
    answers: { 200: { says: "a page of events by sequence, or the predecessor's array", schema: auditAnswer } },
  },
  {
    ...audit,
    path: "/v1/audit/verify",
    id: "verifyAudit",
    summary: "Prove that no event was changed or left out",
    query: auditQuerySchema.pick({ after: true }).shape,
    answers: { 200: { says: "what was checked, whether it holds or not", schema: auditVerificationSchema } },
  },
  {
    ...administration,
    method: "GET",
    path: "/v1/namespaces",
    id: "listNamespaces",
    summary: "List namespaces",
    query: listNamespacesRequest.shape,
    answers: { 200: { says: "a page of namespaces by name", schema: namespaceList } },
    refuses: [],
  },
  {
    ...administration,
    method: "POST",
    path: "/v1/namespaces",
    id: "createNamespace",
    summary: "Make a namespace that an identity owns",
    access: { permission: "administer:system", on: "registry" },
    body: { schema: createNamespaceRequest, required: true },
    answers: { 201: { says: "the new namespace", schema: namespaceView } },
    refuses: ["NAME_INVALID", "CONFLICT"],
  },
  {
    ...administration,
    method: "GET",
    path: "/v1/whoami",
    id: "showCaller",
    summary: "Show whose the credential is, with what roles, and the registry's version",
    answers: { 200: { says: "the caller", schema: whoamiAnswer } },
    refuses: [],
  },
  {
    ...administration,
    method: "GET",
    path: "/v1/credentials",
    id: "listCredentials",
    summary: "List the credentials that you administer",
    query: listCredentialsRequest.shape,
    answers: { 200: { says: "a page of credentials, without secrets", schema: credentialList } },
    refuses: [],
  },
  {
    ...administration,
    method: "POST",
    path: "/v1/credentials",
    id: "createCredential",
    summary: "Make a service identity with one role, and a key for it",
    body: { schema: createCredentialRequest, required: true },
    answers: { 201: { says: "the key, shown once", schema: createdCredentialView } },
    refuses: ["DENIED", "CONFLICT"],
  },
  {
    ...administration,
    method: "POST",
    path: "/v1/credentials/{id}/rotate",
    id: "rotateCredential",
    summary: "Make the successor of a key",
    inPath: credentialId,
    body: { schema: rotateCredentialRequest, required: false },
    answers: { 201: { says: "the new key, shown once", schema: createdCredentialView } },
    refuses: ["NOT_FOUND", "CONFLICT"],
  },
  {
    ...administration,
    method: "DELETE",
    path: "/v1/credentials/{id}",
    id: "revokeCredential",
    summary: "Revoke a key or refresh token, from the next request on",
    inPath: credentialId,
    answers: { 200: { says: "the credential, revoked", schema: credentialView } },
    refuses: ["NOT_FOUND"],
  },
  {
    ...administration,
    method: "GET",
    path: "/v1/keys",
    id: "listPublicKeys",
    summary: "List the public keys with which this registry signs or signed",
    access: "open",
    answers: { 200: { says: "the keys", schema: publicKeyList } },
    refuses: [],
  },
  {
    ...administration,
    method: "POST",
    path: "/v1/keys/rotate",
    id: "rotateSigningKey",
    summary: "Have a new key sign statements from now on, named by the old one",
    access: { permission: "administer:system", on: "registry" },
    body: { schema: rotateSigningKeyRequest, required: false },
    answers: { 201: { says: "the new key", schema: publicKeyView } },
    refuses: ["CONFLICT"],
  },
  {
    ...health,
    path: "/health",
    id: "getHealth",
    summary: "Tell that the registry is up; how much is in it to who may know",
    access: "recognised",
    answers: { 200: { says: "it is up", schema: healthAnswer } },
  },
  {
    ...health,
    path: "/livez",
    id: "getLiveness",
    standsAlone: true,
    summary: "Tell that the process answers",
    access: "open",
    answers: { 200: { says: "it does", schema: probeAnswer } },
  },
  {
    ...health,
    path: "/readyz",
    id: "getReadiness",
    standsAlone: true,
    summary: "Tell whether requests should be sent here",
    access: "open",
    answers: {
      200: { says: "they should", schema: probeAnswer },
      503: { says: "the server is about to stop, or its storage fails", schema: notReadyAnswer },
    },
  },
];
