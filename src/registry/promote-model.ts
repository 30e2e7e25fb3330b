import { rightsOnRegistered } from "../identity/authorize.ts";
import { RegistryError } from "../oci/errors.ts";
import { repositoryOfModel } from "../oci/model-name.ts";
import type { ModelDetails } from "../storage/records.ts";
import { StaleChangeError, withPendingChange } from "../storage/pending-change.ts";
import {
  type AcquireServices,
  type Acquisition,
  type DecisionToAcquire,
  demandAcquiring,
  refuseOtherBytes,
  withAcquisition,
} from "./acquire.ts";
import { syncFolders } from "./blob-folders.ts";
import { evaluatePromotion } from "./evaluate.ts";
import { type FoundArtifact, demand } from "./find-artifact.ts";
import { type FoundModel, type ShownModel, detailsOf, findRegistered } from "./find-model.ts";
import type { Caller, Services } from "./ports.ts";
import { type Promotion, promote, recordRefusal } from "./promote.ts";
import { RESERVED_TAG } from "./reserved-tag.ts";
import { type SaidOfModel, withSaid } from "./said-of-model.ts";
import { inTurn } from "./turns.ts";

/** The predecessor's promote: the file as it was acquired, and what is said of it. */
export interface ModelPromotion extends SaidOfModel {
  readonly acquisition: Acquisition;
}

/** Only other processes come in between. */
const MAX_TRIES = 64;

/**
 * Makes a registered artifact trusted by its name, when it is the file and the digest that were acquired. A name that is not known is
 * acquired and promoted in one commit (RULES 24).
 */
export async function promoteModel(services: AcquireServices, caller: Caller, promotion: ModelPromotion): Promise<ShownModel> {
  const { name } = promotion.acquisition;
  demand(rightsOnRegistered(caller.principal, repositoryOfModel(name)), "promote", "promoting");
  const found = await findRegistered(services, caller, name);
  if (found !== undefined) return promoteKnown(services, caller, found, promotion);
  try {
    return await promoteUnknown(services, caller, promotion);
  } catch (error) {
    // Somebody else may have registered it meanwhile, and even promoted it.
    const now = error instanceof RegistryError && error.code === "CONFLICT" ? await findRegistered(services, caller, name) : undefined;
    if (now === undefined) throw error;
    return promoteKnown(services, caller, now, promotion);
  }
}

async function promoteKnown(services: AcquireServices, caller: Caller, found: FoundModel, promotion: ModelPromotion): Promise<ShownModel> {
  return promoteFound(services, caller, found, {
    ...promotion,
    demand: (now) => demandSame(services, now, promotion.acquisition),
  });
}

async function promoteFound(
  services: AcquireServices,
  caller: Caller,
  found: FoundModel,
  promotion: ModelPromotion & Pick<Promotion, "demand">,
): Promise<ShownModel> {
  let kept = found.details;
  const details = (now: ModelDetails): ModelDetails => {
    const { source } = promotion.acquisition;
    // What is not said again stays.
    kept = withSaid({ ...now, source: source === "" ? now.source : source }, promotion);
    return kept;
  };
  const { record } = await promote(services, caller, found, { ...wanted(promotion), demand: promotion.demand, details });
  return { ...found, record, details: kept };
}

/** Refuses what the name means when it is not the file that the caller means: it is gone, or another one was acquired. */
async function demandSame(services: Pick<Services, "metadata">, now: FoundArtifact, acquisition: Acquisition): Promise<void> {
  if (now.record.state === "deleted") {
    const error = `cannot promote artifact "${acquisition.name}": currently in deleted state`;
    throw new RegistryError("CONFLICT", error, { detail: { error } });
  }
  const details = await detailsOf(services, now);
  if (details?.path !== acquisition.path)
    throw new RegistryError("CONFLICT", "promotion requires the file that was acquired: acquire it again first");
  refuseOtherBytes(acquisition, { digest: details.blob, size: details.size });
}

function wanted({ scan }: ModelPromotion): Promotion {
  return { refTag: RESERVED_TAG, tags: [], covers: [], evidence: [], scan, reason: null, expected: undefined };
}

async function promoteUnknown(services: AcquireServices, caller: Caller, promotion: ModelPromotion): Promise<ShownModel> {
  const { acquisition } = promotion;
  await demandAcquiring(services, caller, acquisition);
  return inTurn(services.metadata, `acquire ${acquisition.name}`, () =>
    withAcquisition(services, caller, acquisition, async (decide) => {
      // What takes long is done when it was decided once, before all others have to wait: each adds to the one chain of events.
      await decide();
      return inTurn(services.metadata, "acquire and promote", () => acquireAndPromote(services, caller, promotion, decide));
    }),
  );
}

/** Decides the promotion over the store as the acquisition will leave it, and commits both as one. */
async function acquireAndPromote(
  services: AcquireServices,
  caller: Caller,
  promotion: ModelPromotion,
  decide: DecisionToAcquire,
): Promise<ShownModel> {
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const { change, result } = await decide();
    // Somebody acquired something under this name meanwhile. Names stay: what is not known after the decision was not when it was taken.
    const known = await findRegistered(services, caller, promotion.acquisition.name);
    if (known !== undefined) return promoteKnown(services, caller, known, promotion);
    if (change === undefined) throw new RegistryError("INTERNAL");
    const over = { ...services, metadata: withPendingChange(services.metadata, change) };
    try {
      const promoted = await promoteOver(services, over, caller, promotion);
      if (result.folders !== undefined) await syncFolders(services, result.folders);
      return promoted;
    } catch (error) {
      if (!(error instanceof StaleChangeError)) throw error;
    }
  }
  throw new RegistryError("UNAVAILABLE", "too many others change the same artifact; try again", { headers: { "Retry-After": "1" } });
}

async function promoteOver(
  services: AcquireServices,
  over: AcquireServices,
  caller: Caller,
  promotion: ModelPromotion,
): Promise<ShownModel> {
  const found = await findRegistered(over, caller, promotion.acquisition.name);
  if (found?.details === undefined) throw new RegistryError("INTERNAL");
  const { decision } = await evaluatePromotion(over, found.repository, found, wanted(promotion));
  // A refusal leaves nothing behind but its record: what was to be acquired with it is not.
  if (!decision.allowed) return recordRefusal(services, caller, found, decision);
  return promoteFound(over, caller, found, promotion);
}
