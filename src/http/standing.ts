import { RegistryError } from "../oci/errors.ts";
import type { Caller, Services } from "../registry/ports.ts";
import { endOfStanding } from "../registry/standing.ts";
import type { Ask } from "./route.ts";

/** What takes longer (ms) goes on only while its caller is let in. */
export const LONG = 1000;

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

/** The items of a list as long as the caller is let in, else the answer is cut: who takes them slowly is told for hours what comes in. */
export async function* whileStanding<T>(c: Ask, items: AsyncIterable<T>): AsyncGenerator<T> {
  let askedAt = performance.now();
  for await (const item of items) {
    if (performance.now() - askedAt > LONG) {
      if (!(await stillStands(c))) return;
      askedAt = performance.now();
    }
    yield item;
  }
}

/** The headers are out, so that whatever is wrong, a cut connection is the only answer left. */
async function stillStands(c: Ask): Promise<boolean> {
  try {
    await c.get("stillStands")?.();
    return true;
  } catch {
    c.env.outgoing.destroy();
    return false;
  }
}
