import { z } from "zod";

/** The roles of identity.md 6.2. */
export const ROLES = ["reader", "publisher", "scanner", "reviewer", "maintainer", "owner", "auditor", "operator"] as const;
const roleSchema = z.enum(ROLES);
export type Role = z.infer<typeof roleSchema>;

/** A role in one namespace, or in all (`*`). */
export const bindingSchema = z.strictObject({ role: roleSchema, namespace: z.string().max(255) });
export type Binding = z.infer<typeof bindingSchema>;

/** One scope of a token: the actions that it may at most be used for. */
export const tokenAccessSchema = z.strictObject({
  type: z.enum(["repository", "registry"]),
  name: z.string().max(255),
  actions: z.array(z.enum(["pull", "push", "delete", "*"])).max(4),
});
export type TokenAccess = z.infer<typeof tokenAccessSchema>;

/** The two values of the setting `duties` (identity.md 6.5): under `strict` some permissions of a role need an elevation. */
export type DutyProfile = "standard" | "strict";

/** Who is asking, as loaded for one request. Live roles decide; a token only caps them. */
export interface Principal {
  readonly name: string;
  readonly kind: "human" | "service" | "service-token" | "local-reader" | "system";
  readonly bindings: readonly Binding[];
  /** For duties (identity.md 6.5): whose person this counts as; the principal itself when nobody made it. */
  readonly countsAs: string;
  /** Under which profile its roles are read. */
  readonly duties: DutyProfile;
  /** Id of the credential, for the audit. */
  readonly credential: string | undefined;
  /** The token's scopes; undefined when the caller did not come with a token of ours. */
  readonly access: readonly TokenAccess[] | undefined;
}
