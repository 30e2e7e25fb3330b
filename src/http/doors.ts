import type { Hono } from "hono";
import type { Meter } from "../metrics/metric-set.ts";
import type { Realm } from "../identity/realm.ts";
import type { Services } from "../registry/ports.ts";
import type { RefusalLog } from "../registry/refusals.ts";
import { noteRefusedRequest } from "../registry/refused-request.ts";
import { type Gatekeeper, createApp } from "./app.ts";
import { createGatekeeper } from "./authenticate.ts";
import type { TrustedProxies } from "./client-address.ts";
import type { Connections } from "./connections.ts";
import { healthDoors } from "./health.ts";
import type { Arrivals } from "./giving-way.ts";
import type { Limiter } from "./limits.ts";
import type { Pace } from "./progress.ts";
import type { Door, Env } from "./route.ts";
import { pageDoors } from "./ui/doors.ts";
import type { About } from "./ui/operations.ts";
import { Pages } from "./ui/page.ts";
import { artifactDoors } from "./v1/artifacts.ts";
import { authorityDoors } from "./v1/authorities.ts";
import { auditDoors } from "./v1/audit.ts";
import { credentialDoors } from "./v1/credentials.ts";
import { integrityDoors } from "./v1/integrity.ts";
import { keyDoors } from "./v1/keys.ts";
import { modelDoors } from "./v1/models.ts";
import { namespaceDoors } from "./v1/namespaces.ts";
import { policyDoors } from "./v1/policies.ts";
import { trustRootDoors } from "./v1/trust-roots.ts";
import { statementDoors } from "./v1/statements.ts";
import { whoamiDoors } from "./v1/whoami.ts";
import { blobDoors } from "./v2/blobs.ts";
import { catalogDoors } from "./v2/catalog.ts";
import { manifestDoors } from "./v2/manifests.ts";
import { referrerDoors } from "./v2/referrers.ts";
import { tagDoors } from "./v2/tags.ts";
import { tokenDoors } from "./v2/token.ts";
import { uploadDoors } from "./v2/uploads.ts";
import { versionDoors } from "./v2/version.ts";

/** What doors need of a process besides the services of use cases. */
export interface DoorServices extends Services {
  readonly refusals: Pick<RefusalLog, "note">;
  /** What a challenge names, by the `Host` of the request. */
  readonly realmOf: (host: string | undefined) => Realm;
  /** INTEGRITY_RESULT_PATH. */
  readonly integrityResultPath: string;
}

/** How one process serves. */
export interface Serving {
  /** The predecessor's single token; undefined when it is off. */
  readonly serviceToken: string | undefined;
  readonly draining: () => boolean;
  readonly insecureDevMode: boolean;
  /** Is the registry for this machine alone (RULES 19)? */
  readonly isLocal?: boolean;
  readonly pace?: Pace;
  /** Who is believed whom it speaks for. */
  readonly proxies?: TrustedProxies;
  readonly connections?: Connections;
  readonly limiter?: Limiter;
  readonly arrivals?: Arrivals;
  /** What the page of operations tells of this program. */
  readonly about?: About;
  /** Where requests are counted. */
  readonly metrics?: Meter;
}

/** Every door that there is: what is not in this list is not served. */
export function allDoors(services: DoorServices, gatekeeper: Gatekeeper, serving: Serving): readonly Door[] {
  const { draining, insecureDevMode, isLocal = false } = serving;
  const authRequired = !insecureDevMode || serving.serviceToken !== undefined;
  return [
    ...versionDoors,
    ...tokenDoors(services, { realm: services.realmOf, refused: (event) => services.refusals.note(event) }),
    ...uploadDoors(services),
    ...blobDoors(services),
    ...manifestDoors(services),
    ...tagDoors(services),
    ...referrerDoors(services),
    ...catalogDoors(services),
    ...artifactDoors(services),
    ...modelDoors(services),
    ...integrityDoors({ ...services, draining }),
    ...auditDoors(services),
    ...namespaceDoors(services),
    ...credentialDoors(services),
    ...keyDoors(services),
    ...policyDoors(services),
    ...trustRootDoors(services),
    ...statementDoors(services),
    ...authorityDoors(services),
    ...whoamiDoors(),
    ...pageDoors(services, {
      realm: services.realmOf,
      refused: (event) => services.refusals.note(event),
      pages: new Pages({ insecureDevMode }),
      draining,
      about: serving.about,
    }),
    ...healthDoors({ services, gatekeeper, draining, insecureDevMode, authRequired, isLocal }),
  ];
}

/** The whole registry as an HTTP application. */
export function createRegistryApp(services: DoorServices, serving: Serving): Hono<Env> {
  const { serviceToken, ...edge } = serving;
  const refused = services.refusals.note.bind(services.refusals);
  const pages = new Pages(serving);
  const gatekeeper = createGatekeeper(services, {
    realm: services.realmOf,
    serviceToken,
    isLocal: serving.isLocal ?? false,
    insecureDevMode: serving.insecureDevMode,
    refused,
  });
  return createApp({
    doors: allDoors(services, gatekeeper, serving),
    gatekeeper,
    services,
    refused: (caller, refusal) => noteRefusedRequest(services, caller, refusal),
    showError: (c, error) => pages.showError(c, error),
    ...edge,
  });
}
