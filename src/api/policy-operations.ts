import type { Operation } from "./operation.ts";
import { replayPage, replayRequest } from "./policy-replay.ts";
import {
  policyDocument,
  policyList,
  policyName,
  policyVersionView,
  policyView,
  showPolicyRequest,
  trustRootDocument,
  trustRootList,
  trustRootView,
} from "./policies.ts";

const administration = { chapter: "administration", access: "credential" } as const;
const policy = { ...administration, inPath: { name: policyName } } as const;
const change = { permission: "administer:policy", on: "registry" } as const;

/** Written promotion policies and the trust roots that they name (interface.md §8). */
export const policyOperations: readonly Operation[] = [
  {
    ...administration,
    method: "GET",
    path: "/v1/policies",
    id: "listPolicies",
    summary: "List the promotion policies in force",
    answers: { 200: { says: "the policies, by name", schema: policyList } },
    refuses: [],
  },
  {
    ...policy,
    method: "GET",
    path: "/v1/policies/{name}",
    id: "getPolicy",
    summary: "Show a promotion policy, or an earlier version of it",
    query: showPolicyRequest.shape,
    answers: { 200: { says: "the policy", schema: policyView } },
    refuses: ["NOT_FOUND"],
  },
  {
    ...policy,
    method: "PUT",
    path: "/v1/policies/{name}",
    id: "putPolicy",
    summary: "Put a promotion policy in force from the next decision on",
    access: change,
    body: { schema: policyDocument, required: true },
    answers: { 200: { says: "the policy's version", schema: policyVersionView } },
    refuses: ["CONFLICT", "MEDIA_TYPE_UNSUPPORTED"],
  },
  {
    ...policy,
    method: "DELETE",
    path: "/v1/policies/{name}",
    id: "deletePolicy",
    summary: "End a promotion policy; its versions stay",
    access: change,
    answers: { 200: { says: "the policy's last version", schema: policyVersionView } },
    refuses: ["NOT_FOUND"],
  },
  {
    ...policy,
    method: "POST",
    path: "/v1/policies/{name}/replay",
    id: "replayPolicy",
    summary: "Tell which trusted artifacts would fail under a policy, and which others would pass, a page at a time",
    access: change,
    body: { schema: replayRequest, required: false },
    answers: { 200: { says: "a page of the artifacts for which something would change", schema: replayPage } },
    refuses: ["NOT_FOUND"],
  },
  {
    ...administration,
    method: "GET",
    path: "/v1/trust-roots",
    id: "listTrustRoots",
    summary: "List the Sigstore trusted roots that policies may name",
    answers: { 200: { says: "the trust roots", schema: trustRootList } },
    refuses: [],
  },
  {
    ...policy,
    method: "PUT",
    path: "/v1/trust-roots/{name}",
    id: "putTrustRoot",
    summary: "Keep a Sigstore trusted root for policies to name",
    access: change,
    body: { schema: trustRootDocument, required: true },
    answers: { 200: { says: "the trust root with its digest", schema: trustRootView } },
    refuses: ["CONFLICT"],
  },
];
