import { z } from "zod";
import { next } from "./page.ts";
import { timeSchema } from "./time.ts";

/** Body of `POST /v1/namespaces`. */
export const createNamespaceRequest = z.strictObject({
  name: z.string().min(1).max(64),
  /** An identity that exists. */
  owner: z.string().min(1).max(64),
});

/** A namespace as the API shows it. */
export const namespaceView = z.strictObject({
  name: z.string(),
  owner: z.string(),
  created_by: z.string(),
  created_at: timeSchema,
});
export type NamespaceView = z.infer<typeof namespaceView>;

/** Answer of `GET /v1/namespaces`. */
export const namespaceList = z.strictObject({ namespaces: z.array(namespaceView), next });

/** Query of `GET /v1/namespaces`; the cursor is `next` of the page before. */
export const listNamespacesRequest = z.strictObject({
  cursor: z.string().min(1).max(64).optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
});

/** A most of something; null: any number. */
const most = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER).nullable();
const quota = { bytes: most, artifacts: most, manifests: most, tags: most, uploads: most };
const amount = z.number().int();

/** Body of `PUT /v1/namespaces/<name>/quota`: what it leaves out is as the configuration says. */
const own = most.exactOptional();
export const setQuotaRequest = z.strictObject({ bytes: own, artifacts: own, manifests: own, tags: own, uploads: own });
export type SetQuotaRequest = z.infer<typeof setQuotaRequest>;

/** A namespace with what it may hold and what it holds. `own_quota` is what was set for it; `quota` what is in force; `usage` is null for readers. */
export const namespaceDetails = z.strictObject({
  ...namespaceView.shape,
  quota: z.strictObject(quota),
  own_quota: setQuotaRequest,
  usage: z.strictObject({ bytes: amount, artifacts: amount, manifests: amount, tags: amount }).nullable(),
});
export type NamespaceDetails = z.infer<typeof namespaceDetails>;
