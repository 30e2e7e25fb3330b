import { setHeaders } from "../headers.ts";
import type { Ask, Door } from "../route.ts";

/** What clients ask first: is this a registry, and does it know me (distribution-spec end-1)? */
export const versionDoors: readonly Door[] = ["/v2/", "/v2"].map((path) => ({
  method: "GET",
  path,
  action: "credential",
  // Old clients of Docker believe in version 2 of the protocol only when this header says so.
  handle: (c: Ask) => {
    setHeaders(c.env.outgoing, { "Docker-Distribution-Api-Version": "registry/2.0" });
    return c.json({});
  },
}));
