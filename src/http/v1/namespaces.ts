import {
  type NamespaceDetails,
  type NamespaceView,
  createNamespaceRequest,
  listNamespacesRequest,
  setQuotaRequest,
} from "../../api/namespaces.ts";
import { type Namespace, createNamespace, listNamespaces } from "../../registry/namespaces.ts";
import { type ShownNamespace, setQuota, showNamespace } from "../../registry/namespace-quota.ts";
import type { Services } from "../../registry/ports.ts";
import { jsonBody, queryOf } from "../body.ts";
import type { Door } from "../route.ts";

/** The doors to namespaces (interface.md §7). */
export function namespaceDoors(services: Pick<Services, "metadata" | "clock" | "newId" | "settings">): readonly Door[] {
  return [
    {
      method: "GET",
      path: "/v1/namespaces",
      action: "credential",
      handle: async (c, caller) => {
        const { cursor, limit } = queryOf(c, listNamespacesRequest);
        const page = await listNamespaces(services, caller, { limit, after: cursor });
        return c.json({ namespaces: page.map(shown), next: page.length < limit ? null : (page.at(-1)?.name ?? null) });
      },
    },
    {
      method: "POST",
      path: "/v1/namespaces",
      action: { permission: "administer:system", on: "registry" },
      handle: async (c, caller) => c.json(shown(await createNamespace(services, caller, await jsonBody(c, createNamespaceRequest))), 201),
    },
    {
      method: "GET",
      path: "/v1/namespaces/:namespace",
      action: "credential",
      handle: async (c, caller) => c.json(details(await showNamespace(services, caller, c.req.param("namespace") ?? ""))),
    },
    {
      method: "PUT",
      path: "/v1/namespaces/:namespace/quota",
      action: { permission: "administer:system", on: "registry" },
      handle: async (c, caller) => {
        const quota = await jsonBody(c, setQuotaRequest);
        return c.json(details(await setQuota(services, caller, c.req.param("namespace") ?? "", quota)));
      },
    },
  ];
}

function shown({ name, record }: Namespace): NamespaceView {
  return { name, owner: record.owner, created_by: record.createdBy, created_at: new Date(record.createdAt).toISOString() };
}

function details({ namespace, quota, own, usage }: ShownNamespace): NamespaceDetails {
  return {
    ...shown(namespace),
    quota: { bytes: quota.bytes, artifacts: quota.artifacts, manifests: quota.manifests, tags: quota.tags, uploads: quota.uploads },
    own_quota: own,
    usage: usage && { bytes: usage.bytes, artifacts: usage.artifacts, manifests: usage.manifests, tags: usage.tags },
  };
}
