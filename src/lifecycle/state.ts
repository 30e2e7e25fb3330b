import { z } from "zod";

/** The states of an artifact: what one manifest is in one repository (DESIGN §2). */
export const STATES = ["acquired", "quarantined", "trusted", "revoked", "deleted"] as const;
export const stateSchema = z.enum(STATES);
export type State = z.infer<typeof stateSchema>;

/** What may happen to an artifact. */
export const EVENTS = ["acquire", "quarantine", "promote", "revoke", "delete"] as const;
export type LifecycleEvent = (typeof EVENTS)[number];
