import type { RepositoryName } from "../oci/reference.ts";
import { keys } from "../storage/keys.ts";
import type { Expectation, Put } from "../storage/metadata-store.ts";
import type { Services } from "./ports.ts";

/** What a change takes along so that its repository exists afterwards. */
export interface RepositoryRows {
  readonly expect: readonly Expectation[];
  readonly put: readonly Put[];
}

/** The rows that make a repository exist: none when it does. */
export async function ensureRepository(
  services: Pick<Services, "metadata" | "clock">,
  repository: RepositoryName,
): Promise<RepositoryRows> {
  const key = keys.repository(repository);
  if ((await services.metadata.get(key)) !== undefined) return { expect: [], put: [] };
  return { expect: [{ key, version: "absent" }], put: [{ key, value: { v: 1, createdAt: services.clock(), trusted: 0 } }] };
}
