import { removeUnwrittenResult } from "../storage/result-file.ts";
import { removeUnwrittenSecrets } from "../storage/secret-file.ts";
import { tidySigningKeys } from "./attestation-keys.ts";
import { countStatesOnce } from "./count-states.ts";
import { countOnce } from "./count-usage.ts";
import type { Services } from "./ports.ts";
import { finishWithdrawals } from "./revoke-everywhere.ts";
import { repairRuntimeTree } from "./runtime-folders.ts";

/** Where a start looks for what killed processes left half written. */
export interface StartPlaces {
  /** The folder of the credentials. */
  readonly credentials: string;
  /** The file of the last integrity check's result. */
  readonly integrityResult: string;
}

/** Makes good what killed processes left, and counts what earlier versions did not, once a start: while no other process changes anything. */
export async function makeGoodAlone(services: Services, { credentials, integrityResult }: StartPlaces): Promise<void> {
  await removeUnwrittenSecrets(credentials);
  await removeUnwrittenResult(integrityResult);
  await countOnce(services);
  await countStatesOnce(services);
  await tidySigningKeys(services);
}

/** Makes good what a crash left between a commit and its folder, before anybody is answered (RULES 23). */
export async function makeGoodBeforeServing(services: Services): Promise<void> {
  await repairRuntimeTree(services);
  await finishWithdrawals(services);
}
