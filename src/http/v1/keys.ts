import type { PublicKeyView } from "../../api/keys.ts";
import type { Services } from "../../registry/ports.ts";
import { listTokenKeys } from "../../registry/token-keys.ts";
import type { Door } from "../route.ts";

/** The registry's public keys, for anyone (interface.md §8). */
export function keyDoors(services: Pick<Services, "metadata">): readonly Door[] {
  return [
    {
      method: "GET",
      path: "/v1/keys",
      action: "open",
      handle: async (c) => {
        const keys = (await listTokenKeys(services)).map(({ id, algorithm, pem, validFrom, validUntil }): PublicKeyView => ({
          id,
          purpose: "token",
          algorithm,
          pem,
          valid_from: new Date(validFrom).toISOString(),
          valid_until: new Date(validUntil).toISOString(),
        }));
        return c.json({ keys });
      },
    },
  ];
}
