import type { Realm } from "../../identity/realm.ts";
import { RegistryError } from "../../oci/errors.ts";
import type { Ask } from "../route.ts";

/**
 * Refuses a change that a page of another origin has a browser make. Both headers are the browser's own, which no page can forge; every
 * browser sends one of them with a form, and what sends neither is refused. Another port of the same host is another origin too, although
 * cookies do not tell them apart.
 */
export function demandSameOrigin(c: Ask, realm: Realm): void {
  const [site, origin] = [c.req.header("sec-fetch-site"), c.req.header("origin")];
  const own = new URL(realm.realm).origin;
  const isOwn = origin === undefined ? site === "same-origin" : origin === own;
  if (isOwn && (site === undefined || site === "same-origin")) return;
  throw new RegistryError("DENIED", `this did not come from a page of this registry: nothing was changed; open ${own}/ui/ and do it there`);
}
