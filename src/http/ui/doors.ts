import type { Door } from "../route.ts";
import { artifactPageDoors } from "./artifact.ts";
import { artifactActDoors } from "./artifact-acts.ts";
import type { ArtifactPageServices } from "./artifact-at.ts";
import { assetDoors } from "./assets.ts";
import { auditPageDoors } from "./audit.ts";
import { exploreDoors } from "./explore.ts";
import { identityDoors } from "./identities.ts";
import { type OperationsOptions, operationDoors } from "./operations.ts";
import { policyPageDoors } from "./policies.ts";
import { liveDoors } from "./live.ts";
import { reviewDoors } from "./review.ts";
import { sessionDoors } from "./sessions.ts";
import { type SignInOptions, signInDoors } from "./sign-in.ts";
import { startDoors } from "./start.ts";
import { trustPageDoors } from "./trust-roots.ts";

type Needs = ArtifactPageServices &
  Parameters<typeof signInDoors>[0] &
  Parameters<typeof operationDoors>[0] &
  Parameters<typeof auditPageDoors>[0];

/** All doors of the pages. */
export function pageDoors(services: Needs, options: SignInOptions & OperationsOptions): readonly Door[] {
  const { pages, realm, draining } = options;
  return [
    ...assetDoors(),
    ...signInDoors(services, options),
    ...liveDoors(services, draining),
    ...startDoors(services, pages),
    ...reviewDoors(services, pages),
    ...exploreDoors(services, pages),
    ...artifactPageDoors(services, { pages, realm }),
    ...artifactActDoors(services),
    ...identityDoors(services, pages),
    ...policyPageDoors(services, pages),
    ...trustPageDoors(services, pages),
    ...operationDoors(services, options),
    ...auditPageDoors(services, pages),
    ...sessionDoors(services, pages),
  ];
}
