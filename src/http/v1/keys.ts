import { type PublicKeyView, publicKeyView, rotateSigningKeyRequest } from "../../api/keys.ts";
import { type PublicAttestationKey, listAttestationKeys, rotateSigningKey } from "../../registry/attestation-keys.ts";
import type { Services } from "../../registry/ports.ts";
import { type PublicTokenKey, listTokenKeys } from "../../registry/token-keys.ts";
import { jsonBody } from "../body.ts";
import type { Door } from "../route.ts";

type Needs = Pick<Services, "metadata" | "signing" | "clock" | "newId" | "log" | "settings">;

/** The registry's public keys, for anyone, and the change of the one that signs statements (interface.md §8). */
export function keyDoors(services: Needs): readonly Door[] {
  return [
    {
      method: "GET",
      path: "/v1/keys",
      action: "open",
      handle: async (c) => {
        const attestation = (await listAttestationKeys(services)).map(shownAttestationKey);
        const token = (await listTokenKeys(services)).map((key) => shown("token", key));
        return c.json({ keys: [...attestation, ...token] });
      },
    },
    {
      method: "POST",
      path: "/v1/keys/rotate",
      action: { permission: "administer:system", on: "registry" },
      handle: async (c, caller) => {
        const { reason } = await jsonBody(c, rotateSigningKeyRequest);
        return c.json(shownAttestationKey(await rotateSigningKey(services, caller, reason ?? null)), 201);
      },
    },
  ];
}

function shownAttestationKey(key: PublicAttestationKey): PublicKeyView {
  return publicKeyView.parse({ ...shown("attestation", key), statement: parsed(key.bundle) });
}

function parsed(json: string): unknown {
  return JSON.parse(json);
}

function shown(purpose: PublicKeyView["purpose"], key: PublicTokenKey | PublicAttestationKey): PublicKeyView {
  const { id, algorithm, pem, validFrom, validUntil } = key;
  return {
    id,
    purpose,
    algorithm,
    pem,
    valid_from: new Date(validFrom).toISOString(),
    valid_until: validUntil === null ? null : new Date(validUntil).toISOString(),
  };
}
