import { digestSchema } from "../oci/digest.ts";
import { repositoryNameSchema } from "../oci/reference.ts";
import { parseDecision, rowsOfSigners } from "../registry/decision-rows.ts";
import { type Indexed, indexOnce } from "../registry/index-once.ts";
import type { Services } from "../registry/ports.ts";
import { keys } from "../storage/keys.ts";
import type { Entry } from "../storage/metadata-store.ts";

/** Decisions of one change. */
const PAGE = 256;

/** Writes down whose evidence the decisions of earlier versions took. False when a signal ended it. */
export async function indexDecisions(needs: Pick<Services, "metadata">, signal?: AbortSignal): Promise<boolean> {
  return indexOnce(needs, { progress: keys.job("index-decisions"), family: keys.allDecisions(), page: PAGE, rowsFor }, signal);
}

async function rowsFor({ key, value }: Entry): Promise<Indexed> {
  const [repository, artifact] = [repositoryNameSchema.parse(key[1]), digestSchema.parse(key[2])];
  return { expect: [], put: rowsOfSigners(repository, artifact, parseDecision(value)) };
}
