import { type NamespaceView, createNamespaceRequest, listNamespacesRequest } from "../../api/namespaces.ts";
import { type Namespace, createNamespace, listNamespaces } from "../../registry/namespaces.ts";
import type { Services } from "../../registry/ports.ts";
import { conform, jsonBody } from "../body.ts";
import type { Door } from "../route.ts";

/** The doors to namespaces (interface.md §7). */
export function namespaceDoors(services: Pick<Services, "metadata" | "clock" | "newId">): readonly Door[] {
  return [
    {
      method: "GET",
      path: "/v1/namespaces",
      action: "credential",
      handle: async (c, caller) => {
        const { cursor, limit } = conform(listNamespacesRequest, c.req.query());
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
  ];
}

function shown({ name, record }: Namespace): NamespaceView {
  return { name, owner: record.owner, created_by: record.createdBy, created_at: new Date(record.createdAt).toISOString() };
}
