import type { Binding } from "../identity/principal.ts";
import { type CredentialRefusal, findById } from "./find-credential.ts";
import type { Caller, Services } from "./ports.ts";

/**
 * Why a caller that was admitted a while ago would not be admitted as it was any more; undefined while its credential is in force and its
 * identity has every role that it had. The service token and programs of this machine have no record that could tell.
 */
export async function endOfStanding(
  services: Pick<Services, "metadata" | "clock">,
  { principal }: Caller,
): Promise<CredentialRefusal | undefined> {
  if (principal.credential === undefined) return undefined;
  const found = await findById(services, principal.credential);
  if ("refusal" in found) return found.refusal;
  const { name, bindings } = found.identity;
  const hasAll = principal.bindings.every((binding) => bindings.some((each) => isSame(each, binding)));
  return name === principal.name && hasAll ? undefined : "revoked";
}

/**
 * Has somebody taken the caller's right to be here away? That a credential ran out is no such act: what was begun before may end.
 */
export async function isTurnedOut(services: Pick<Services, "metadata" | "clock">, caller: Caller): Promise<boolean> {
  const end = await endOfStanding(services, caller);
  return end === "revoked" || end === "disabled";
}

function isSame(one: Binding, other: Binding): boolean {
  return one.role === other.role && one.namespace === other.namespace;
}
