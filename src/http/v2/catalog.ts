import { nextLink, parsePage } from "../../oci/page.ts";
import { listRepositories } from "../../registry/list-repositories.ts";
import type { Services } from "../../registry/ports.ts";
import type { Door } from "../route.ts";

/** The door to the list of repositories: not in the specification, but spoken by everyone. */
export function catalogDoors(services: Pick<Services, "metadata">): readonly Door[] {
  return [
    {
      method: "GET",
      path: "/v2/_catalog",
      action: "catalog",
      limit: "search",
      handle: async (c, caller) => {
        const page = parsePage(c.req.query("n"), c.req.query("last"));
        const { repositories, next } = await listRepositories(services, caller, page);
        if (next !== undefined) c.header("Link", nextLink("/v2/_catalog", { n: page.n, last: next }));
        return c.json({ repositories }, 200, { "Cache-Control": "private, no-store" });
      },
    },
  ];
}
