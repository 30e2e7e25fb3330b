import { z } from "zod";
import { next } from "./page.ts";
import { timeSchema } from "./time.ts";

/** Seconds. */
const DAY = 24 * 60 * 60;
/** identity.md §4: the expiry is mandatory. */
const DEFAULT_LIFETIME = 30 * DAY;
const MIN_LIFETIME = 60;
const MAX_LIFETIME = 90 * DAY;
const MAX_OVERLAP = DAY;

const lifetime = z.number().int().min(MIN_LIFETIME).max(MAX_LIFETIME).default(DEFAULT_LIFETIME);

/** Body of `POST /v1/credentials`. */
export const createCredentialRequest = z.strictObject({
  /** The service identity that the key is for; it is made with exactly this role. */
  name: z.string().min(1).max(64),
  role: z.enum(["reader", "publisher", "scanner", "reviewer", "maintainer", "owner", "auditor", "operator"]),
  /** Where the role holds; `*` for everywhere. */
  namespace: z.string().min(1).max(64),
  /** Seconds from now. */
  expires_in: lifetime,
});

/** Body of `POST /v1/credentials/<id>/rotate`. */
export const rotateCredentialRequest = z.strictObject({
  /** Seconds from now, for the new key. */
  expires_in: lifetime,
  /** Seconds for which the old key still works. */
  overlap: z.number().int().min(0).max(MAX_OVERLAP).default(MAX_OVERLAP),
});

/** A credential as the API shows it. */
export const credentialView = z.strictObject({
  id: z.string(),
  /** The identity, which is the user name to log in with. */
  name: z.string(),
  /** A session is what somebody opened in a browser with a key. */
  kind: z.enum(["api-key", "refresh-token", "session"]),
  created_by: z.string(),
  created_at: timeSchema,
  expires_at: timeSchema.nullable(),
  last_used_at: timeSchema.nullable(),
  last_used_from: z.string().nullable(),
  status: z.enum(["live", "revoked", "expired"]),
  parent: z.string().nullable(),
});
export type CredentialView = z.infer<typeof credentialView>;

/** Answer of `GET /v1/credentials`. */
export const credentialList = z.strictObject({ credentials: z.array(credentialView), next });

/** Answer to a new key; the only place where the secret is ever shown. */
export const createdCredentialView = z.strictObject({
  name: z.string(),
  id: z.string(),
  key: z.string(),
  expires_at: timeSchema.nullable(),
});
export type CreatedCredentialView = z.infer<typeof createdCredentialView>;

/** Query of `GET /v1/credentials`; the cursor is `next` of the page before. */
export const listCredentialsRequest = z.strictObject({
  cursor: z
    .string()
    .regex(/^[a-z0-9._-]{1,64}\/[\w-]{1,64}$/)
    .optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
});
