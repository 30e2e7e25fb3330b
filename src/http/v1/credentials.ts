import {
  type CreatedCredentialView,
  type CredentialView,
  createCredentialRequest,
  listCredentialsRequest,
  rotateCredentialRequest,
} from "../../api/credentials.ts";
import { createKey, revokeCredential, rotateKey } from "../../registry/credentials.ts";
import type { FreshCredential } from "../../registry/credential-rows.ts";
import { endOf } from "../../registry/find-credential.ts";
import { type CredentialCursor, type ListedCredential, listCredentials, withUse } from "../../registry/list-credentials.ts";
import type { Services } from "../../registry/ports.ts";
import { jsonBody, queryOf } from "../body.ts";
import type { Ask, Door } from "../route.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId" | "random" | "secretFor">;

const ONE = "/v1/credentials/:id{[\\w-]+}";

/** The doors to keys and refresh tokens (interface.md §7). Use cases ask for the rights: everybody administers their own. */
export function credentialDoors(services: Needs): readonly Door[] {
  return [
    {
      method: "GET",
      path: "/v1/credentials",
      action: "credential",
      handle: async (c, caller) => {
        const { cursor, limit } = queryOf(c, listCredentialsRequest);
        const page = await listCredentials(services, caller, { limit, after: cursorFrom(cursor) });
        const last = page.length < limit ? undefined : page.at(-1)?.record;
        const next = last === undefined ? null : `${last.identity}/${last.id}`;
        return c.json({ credentials: page.map((each) => shown(each, services.clock())), next });
      },
    },
    {
      method: "POST",
      path: "/v1/credentials",
      action: "credential",
      handle: async (c, caller) => {
        const { name, role, namespace, expires_in: lifetime } = await jsonBody(c, createCredentialRequest);
        return created(c, await createKey(services, caller, { name, binding: { role, namespace }, lifetime }));
      },
    },
    {
      method: "POST",
      path: `${ONE}/rotate`,
      action: "credential",
      handle: async (c, caller) => {
        const { expires_in: lifetime, overlap } = await jsonBody(c, rotateCredentialRequest);
        return created(c, await rotateKey(services, caller, c.req.param("id") ?? "", { lifetime, overlap }));
      },
    },
    {
      method: "DELETE",
      path: ONE,
      action: "credential",
      handle: async (c, caller) => {
        const revoked = await revokeCredential(services, caller, c.req.param("id") ?? "");
        return c.json(shown(await withUse(services, revoked), services.clock()));
      },
    },
  ];
}

/** The only answer that ever holds a secret. */
function created(c: Ask, { record, secret }: FreshCredential): Response {
  const view: CreatedCredentialView = { name: record.identity, id: record.id, key: secret, expires_at: timeOf(record.expiresAt) };
  return c.json(view, 201, { "Cache-Control": "no-store" });
}

function cursorFrom(cursor: string | undefined): CredentialCursor | undefined {
  const [identity, id] = cursor?.split("/") ?? [];
  return identity === undefined || id === undefined ? undefined : { identity, id };
}

function shown({ record, use }: ListedCredential, now: number): CredentialView {
  return {
    id: record.id,
    name: record.identity,
    kind: record.kind,
    created_by: record.createdBy,
    created_at: new Date(record.createdAt).toISOString(),
    expires_at: timeOf(record.expiresAt),
    last_used_at: timeOf(use?.at ?? null),
    last_used_from: use?.address ?? null,
    status: endOf(record, now) ?? "live",
    parent: record.parent,
  };
}

function timeOf(time: number | null): string | null {
  return time === null ? null : new Date(time).toISOString();
}
