import {
  type RevokedAuthorityView,
  liftAuthorityRequest,
  liftedAuthority,
  revokeAuthorityRequest,
  revokedAuthorityView,
} from "../../api/authorities.ts";
import { RegistryError } from "../../oci/errors.ts";
import { type Digest, isDigest } from "../../oci/digest.ts";
import { type KnownRevocation, authorityRevocations } from "../../registry/authority-revocations.ts";
import type { StatingServices } from "../../registry/registry-statements.ts";
import { liftAuthority, revokeAuthority } from "../../registry/revoke-authority.ts";
import { jsonBody } from "../body.ts";
import type { Ask, Door } from "../route.ts";

const REVOKED = "/v1/revoked-authorities";
const CHANGE = { permission: "administer:policy", on: "registry" } as const;

/** The doors to publishers who are believed no more. */
export function authorityDoors(services: StatingServices): readonly Door[] {
  return [
    {
      method: "GET",
      path: REVOKED,
      action: "credential",
      handle: async (c) => c.json({ revoked_authorities: (await authorityRevocations(services)).map(shown) }),
    },
    {
      method: "POST",
      path: REVOKED,
      action: CHANGE,
      handle: async (c, caller) => {
        const { authority, from, reason } = await jsonBody(c, revokeAuthorityRequest);
        const wanted = { authority, from: from === undefined ? null : Date.parse(from), reason };
        return c.json(shown(await revokeAuthority(services, caller, wanted)));
      },
    },
    {
      method: "DELETE",
      path: `${REVOKED}/:statement`,
      action: CHANGE,
      handle: async (c, caller) => {
        const { reason } = await jsonBody(c, liftAuthorityRequest);
        const { statement, authority } = await liftAuthority(services, caller, statementIn(c), reason);
        return c.json(liftedAuthority.parse({ statement, authority }));
      },
    },
  ];
}

function statementIn(c: Ask): Digest {
  const statement = c.req.param("statement") ?? "";
  if (isDigest(statement)) return statement;
  throw new RegistryError("INVALID", "a revoked authority is named by the digest of its statement");
}

function shown({ statement, authority, from, record }: KnownRevocation): RevokedAuthorityView {
  const { reason, by, at, bundle, followed } = record;
  return revokedAuthorityView.parse({
    statement,
    authority,
    from: from === null ? null : new Date(from).toISOString(),
    reason,
    revoked_by: by,
    revoked_at: new Date(at).toISOString(),
    bundle: parsed(bundle),
    followed,
  });
}

function parsed(json: string): unknown {
  return JSON.parse(json);
}
