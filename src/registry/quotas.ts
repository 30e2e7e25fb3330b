import { RegistryError } from "../oci/errors.ts";
import { keys } from "../storage/keys.ts";
import { type Quota, type Resource, type UsageRecord, quotaRecord, usageRecord } from "../storage/records.ts";
import type { Services } from "./ports.ts";

interface Needs extends Pick<Services, "metadata"> {
  readonly settings: Pick<Services["settings"], "quota">;
}

/** What a namespace holds. */
export type Usage = Omit<UsageRecord, "v">;

/** What a namespace holds that nothing was ever put into. */
const NOTHING: UsageRecord = { v: 1, bytes: 0, artifacts: 0, manifests: 0, tags: 0 };

/** The quota of a namespace: its own and, for what that leaves out, that of the configuration. */
export async function quotaOf({ metadata, settings }: Needs, namespace: string): Promise<Quota> {
  const entry = await metadata.get(keys.quota(namespace));
  return entry === undefined ? settings.quota : { ...settings.quota, ...quotaRecord.parse(entry.value) };
}

/** What a namespace holds now. */
export async function usageOf({ metadata }: Pick<Services, "metadata">, namespace: string): Promise<Usage> {
  const entry = await metadata.get(keys.usage(namespace));
  return entry === undefined ? NOTHING : usageRecord.parse(entry.value);
}

/** What is over a quota, and by how much. */
export interface Excess {
  readonly namespace: string;
  readonly resource: Resource;
  readonly limit: number;
  readonly used: number;
  readonly wanted: number;
}

/** Why something is not taken: 413 for what will never fit, 403 for what fits once there is room again. */
export function overQuota({ namespace, resource, limit, used, wanted }: Excess): RegistryError {
  const detail = { quota: { namespace, resource, limit, used, requested: wanted } };
  const says = `the quota of the namespace ${namespace} is ${limit} ${NAMES[resource]}, of which ${used} are used`;
  if (resource === "bytes" && wanted > limit) {
    return new RegistryError("TOO_LARGE", `${says}: this alone has ${wanted}; an operator can raise the quota`, { detail });
  }
  return new RegistryError("DENIED", `${says}: ${REMEDIES[resource]}, or have an operator raise the quota`, { detail });
}

const NAMES: Readonly<Record<Resource, string>> = {
  bytes: "bytes",
  artifacts: "artifacts",
  manifests: "manifests",
  tags: "tags",
  uploads: "open uploads",
};

const REMEDIES: Readonly<Record<Resource, string>> = {
  bytes: "delete artifacts and blobs",
  artifacts: "delete some",
  manifests: "delete some",
  tags: "delete some",
  uploads: "finish or cancel some",
};
