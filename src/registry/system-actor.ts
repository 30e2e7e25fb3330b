import type { Actor } from "../audit/event.ts";
import type { Caller } from "./ports.ts";

/** Who acts when nobody asked: the registry itself. */
export const SYSTEM: Actor = { principal: "system", kind: "system" };

/** A job that does what somebody decided: statements name the person, and the audit says that a job wrote them. */
export function onBehalfOf(name: string): Caller {
  const principal = {
    name,
    kind: "system",
    bindings: [],
    countsAs: name,
    credential: undefined,
    access: undefined,
    duties: "standard",
  } as const;
  return { principal, actor: SYSTEM };
}
