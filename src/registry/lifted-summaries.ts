import { isPermanent } from "../lifecycle/summary.ts";
import type { Digest } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import type { Key } from "../storage/metadata-store.ts";
import { statementRecord } from "../storage/records.ts";
import { rowsOf } from "./ordered-rows.ts";
import type { Services } from "./ports.ts";
import { listingOf } from "./statement-rows.ts";

const PAGE = 256;

/**
 * What lists the summaries of the revocations that a promotion lifts. Stock clients refuse an artifact for one FAILED summary among many
 * (trust.md §6), so that it is listed no more; but the summary of a permanent revocation always is.
 */
export async function liftedSummaries(
  services: Pick<Services, "metadata">,
  repository: RepositoryName,
  artifact: Digest,
): Promise<readonly Key[]> {
  const listed: Key[] = [];
  for await (const { value } of rowsOf(services, [under(keys.statements(repository, artifact), PAGE)])) {
    const { state, payload, summary } = statementRecord.parse(value);
    if (state !== "revoked" || summary === undefined || isPermanent(payload)) continue;
    listed.push(...(await listingOf(services, repository, summary.manifest)));
  }
  return listed;
}
