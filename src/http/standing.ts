import { RegistryError } from "../oci/errors.ts";
import type { Caller, Services } from "../registry/ports.ts";
import { endOfStanding } from "../registry/standing.ts";
import type { Ask } from "./route.ts";

/**
 * Has a body that was long on its way end only when the caller could still begin it. Admission comes before the body, and who sends it slowly
 * could otherwise keep requests in store for when its key is revoked, such as one that makes another key.
 */
export function holdToStanding(c: Ask, services: Pick<Services, "metadata" | "clock">, caller: Caller): void {
  c.set("stillStands", async () => {
    if ((await endOfStanding(services, caller)) === undefined) return;
    const message = "your credential has ended, or your rights have changed, while the request arrived: log in again and repeat it";
    throw new RegistryError("DENIED", message);
  });
}
