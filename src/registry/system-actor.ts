import type { Actor } from "../audit/event.ts";

/** Who acts when nobody asked: the registry itself. */
export const SYSTEM: Actor = { principal: "system", kind: "system" };
