import type { KeyObject } from "node:crypto";
import { SignJWT, calculateJwkThumbprint, errors, exportJWK, jwtVerify } from "jose";
import { z } from "zod";
import { tokenAccessSchema } from "./principal.ts";

/** How long an access token lives, in seconds (identity.md 2.4). */
export const TOKEN_LIFETIME = 300;
/** How far clocks may differ, in seconds. */
export const CLOCK_TOLERANCE = 30;
/** A token with 32 scopes of the longest names stays below it, and it below what a request's headers may have in all. */
const MAX_TOKEN_LENGTH = 15_000;
const ALGORITHM = "ES256";
/** RFC 9068: keeps a JWT that was made for another purpose from passing as an access token. */
const TYPE = "at+jwt";

const claimsSchema = z.object({
  /** Name of the identity. */
  sub: z.string().min(1).max(255),
  access: z.array(tokenAccessSchema).max(32),
  /** Id of the credential that it was given for. */
  cid: z.string().min(1).max(64),
  /** How the identity proved itself. */
  amr: z.array(z.string().max(32)).max(4),
  /** The identity's epoch when the token was made. */
  epoch: z.number().int().nonnegative(),
  jti: z.string().min(1).max(64),
  /** Seconds since the epoch, as `iat`. */
  exp: z.number().int(),
  iat: z.number().int(),
});
export type TokenClaims = z.infer<typeof claimsSchema>;

/** Who makes tokens and for whom. */
export interface TokenParties {
  readonly issuer: string;
  readonly audience: string;
}

export interface SigningKey {
  readonly kid: string;
  /** A private key of the curve P-256. */
  readonly key: KeyObject;
}

/** Signs the claims as an access token. */
export async function mintToken({ kid, key }: SigningKey, { issuer, audience }: TokenParties, claims: TokenClaims): Promise<string> {
  return new SignJWT({ ...claims, nbf: claims.iat })
    .setProtectedHeader({ alg: ALGORITHM, kid, typ: TYPE })
    .setIssuer(issuer)
    .setAudience(audience)
    .sign(key);
}

/**
 * The claims of a token that one of our keys signed, for these parties, and that is in force at `now` (epoch milliseconds); undefined
 * for everything else. `keyFor` answers undefined for a `kid` that it does not know.
 */
export async function verifyToken(
  token: string,
  { issuer, audience }: TokenParties,
  now: number,
  keyFor: (kid: string) => Promise<KeyObject | undefined>,
): Promise<TokenClaims | undefined> {
  if (token.length > MAX_TOKEN_LENGTH) return undefined;
  try {
    const { payload } = await jwtVerify(
      token,
      async ({ kid }) => {
        const key = kid === undefined ? undefined : await keyFor(kid);
        if (key === undefined) throw new errors.JWKSNoMatchingKey();
        return key;
      },
      {
        issuer,
        audience,
        typ: TYPE,
        algorithms: [ALGORITHM],
        clockTolerance: CLOCK_TOLERANCE,
        currentDate: new Date(now),
        requiredClaims: ["sub", "iat", "nbf", "exp", "jti"],
      },
    );
    return claimsSchema.parse(payload);
  } catch (error) {
    if (error instanceof errors.JOSEError || error instanceof z.ZodError) return undefined;
    throw error;
  }
}

/** The RFC 7638 thumbprint of a public key: its `kid`. */
export async function keyIdOf(publicKey: KeyObject): Promise<string> {
  return calculateJwkThumbprint(await exportJWK(publicKey), "sha256");
}
