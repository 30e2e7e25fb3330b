import type { Binding, Principal } from "../../src/identity/principal.ts";
import { type RepositoryName, isRepositoryName } from "../../src/oci/reference.ts";

/** A service identity with these roles, which came with an API key. */
export function principalWith(bindings: readonly Binding[], rest: Partial<Principal> = {}): Principal {
  const name = rest.name ?? "somebody";
  return { name, kind: "service", bindings, countsAs: name, duties: "standard", credential: "c1", access: undefined, ...rest };
}

/** The principal of the predecessor's single token. */
export const SERVICE_TOKEN = principalWith([], { name: "service-token", kind: "service-token", credential: undefined });

/** A text that must be a repository's name. */
export function repository(text: string): RepositoryName {
  if (!isRepositoryName(text)) throw new TypeError(`not a repository name: ${text}`);
  return text;
}
