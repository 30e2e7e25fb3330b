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
