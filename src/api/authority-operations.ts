import { digestSchema } from "../oci/digest.ts";
import {
  liftAuthorityRequest,
  liftedAuthority,
  revokeAuthorityRequest,
  revokedAuthorityList,
  revokedAuthorityView,
} from "./authorities.ts";
import type { Operation } from "./operation.ts";

const administration = { chapter: "administration", access: "credential" } as const;
const change = { permission: "administer:policy", on: "registry" } as const;

/** Publishers who are believed no more. */
export const authorityOperations: readonly Operation[] = [
  {
    ...administration,
    method: "GET",
    path: "/v1/revoked-authorities",
    id: "listRevokedAuthorities",
    summary: "List the publishers' keys and identities whose evidence counts no more",
    answers: { 200: { says: "the revoked authorities, by statement", schema: revokedAuthorityList } },
    refuses: [],
  },
  {
    ...administration,
    method: "POST",
    path: "/v1/revoked-authorities",
    id: "revokeAuthority",
    summary: "Have a publisher's evidence count no more, and look at what rested on it",
    access: change,
    body: { schema: revokeAuthorityRequest, required: true },
    answers: { 200: { says: "the revocation that holds", schema: revokedAuthorityView } },
    refuses: ["CONFLICT"],
  },
  {
    ...administration,
    method: "DELETE",
    path: "/v1/revoked-authorities/{statement}",
    id: "liftAuthority",
    summary: "Let a publisher's evidence count again; what was revoked because of it stays so",
    access: change,
    inPath: { statement: digestSchema },
    body: { schema: liftAuthorityRequest, required: true },
    answers: { 200: { says: "the authority whose evidence counts again", schema: liftedAuthority } },
    refuses: ["NOT_FOUND"],
  },
];
