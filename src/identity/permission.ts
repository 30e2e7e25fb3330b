import { z } from "zod";

/** The permissions of identity.md 6.1; no other names exist. */
export const PERMISSIONS = [
  "pull",
  "pull:any",
  "push",
  "push:any",
  "acquire",
  "quarantine",
  "scan",
  "approve",
  "promote",
  "revoke",
  "revoke:everywhere",
  "reinstate",
  "delete",
  "delete:any",
  "audit",
  "audit:export",
  "administer:repository",
  "administer:members",
  "administer:keys",
  "administer:policy",
  "administer:rules",
  "administer:elevation",
  "administer:vault",
  "administer:system",
] as const;
const permissionSchema = z.enum(PERMISSIONS);
export type Permission = z.infer<typeof permissionSchema>;

/** What a principal may do on one repository, after its roles and the cap of its token. */
export type Rights = ReadonlySet<Permission>;
