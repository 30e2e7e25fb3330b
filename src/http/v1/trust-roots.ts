import type { z } from "zod";
import { type TrustRootView, endTrustRootRequest, showTrustRootRequest, updateTrustRootRequest } from "../../api/policies.ts";
import { endTrustRoots } from "../../registry/end-trust-root.ts";
import type { StatingServices } from "../../registry/registry-statements.ts";
import { type FetchedTrustRoot, type UpdatedRoot, listTrustRootUpdates, updateTrustRoot } from "../../registry/trust-root-updates.ts";
import { type KnownTrustRoot, listTrustRoots, putTrustRoot, showTrustRoot } from "../../registry/trust-roots.ts";
import { conform, jsonBody, queryOf, wholeBody } from "../body.ts";
import type { Ask, Door } from "../route.ts";

const MAX_DOCUMENT = 1_048_576;
const CHANGE = { permission: "administer:policy", on: "registry" } as const;
const ROOT = "/v1/trust-roots/:name";

/** The doors to the Sigstore trusted roots that policies name (interface.md §8). */
export function trustRootDoors(services: StatingServices): readonly Door[] {
  return [
    {
      method: "GET",
      path: "/v1/trust-roots",
      action: "credential",
      handle: async (c) => {
        const [kept, updated] = [await listTrustRoots(services), await listTrustRootUpdates(services)];
        return c.json({ trust_roots: [...kept.map(shownRoot), ...updated.map(shownUpdate)] });
      },
    },
    {
      method: "GET",
      path: ROOT,
      action: "credential",
      handle: async (c) => {
        const { digest } = queryOf(c, showTrustRootRequest);
        return c.body(Uint8Array.from(await showTrustRoot(services, nameIn(c), digest)), 200, { "Content-Type": "application/json" });
      },
    },
    {
      method: "PUT",
      path: ROOT,
      action: CHANGE,
      handle: async (c, caller) => c.json(shownRoot(await putTrustRoot(services, caller, nameIn(c), await wholeBody(c, MAX_DOCUMENT)))),
    },
    {
      method: "DELETE",
      path: ROOT,
      action: CHANGE,
      handle: async (c, caller) => {
        const name = nameIn(c);
        // A digest without a value is none that was left out, which would end all.
        const { digest } = conform(endTrustRootRequest, c.req.query());
        return c.json({ name, digests: await endTrustRoots(services, caller, { name, digest }) });
      },
    },
    {
      method: "PUT",
      path: `${ROOT}/update`,
      action: CHANGE,
      handle: async (c, caller) => {
        const fetched = fetchedOf(await jsonBody(c, updateTrustRootRequest));
        return c.json(shownUpdate(await updateTrustRoot(services, caller, nameIn(c), fetched)));
      },
    },
  ];
}

function nameIn(c: Ask): string {
  return c.req.param("name") ?? "";
}

function fetchedOf({
  root_digest,
  updated_at,
  expires_at,
  versions,
  trusted_root,
}: z.infer<typeof updateTrustRootRequest>): FetchedTrustRoot {
  return {
    rootDigest: root_digest,
    updatedAt: Date.parse(updated_at),
    expiresAt: Date.parse(expires_at),
    versions,
    bytes: Buffer.from(trusted_root),
  };
}

function shownRoot({ name, digest, size, by, at }: KnownTrustRoot): TrustRootView {
  return { name, digest, size, added_by: by, added_at: at === null ? null : timeOf(at), tuf: null };
}

function shownUpdate({ name, rootDigest, record }: UpdatedRoot): TrustRootView {
  const { digest, size, by, at, updatedAt, expiresAt, versions } = record;
  const tuf = { root_digest: rootDigest, updated_at: timeOf(updatedAt), expires_at: timeOf(expiresAt), versions };
  return { name, digest, size, added_by: by, added_at: timeOf(at), tuf };
}

function timeOf(at: number): string {
  return new Date(at).toISOString();
}
