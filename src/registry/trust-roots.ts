import { type Digest, digestOf, digestSchema } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { PUBLIC_GOOD_ROOT } from "../trust/public-good-root.ts";
import { trustNameSchema } from "../trust/authority.ts";
import { parseTrustRoot } from "../trust/trust-root.ts";
import { keys, under } from "../storage/keys.ts";
import type { Change, Expectation } from "../storage/metadata-store.ts";
import { type TrustRootRecord, trustRootRecord, trustRootUpdateRecord } from "../storage/policy-records.ts";
import { auditEvent } from "./audit-event.ts";
import { decideAndCommit } from "./commit.ts";
import type { Caller, Services } from "./ports.ts";
import { REGISTRY_ITSELF } from "./own-blobs.ts";
import { type SaidOfRegistry, type StatingServices, stated } from "./registry-statements.ts";

const MAX_TRUST_ROOTS = 64;

/** A Sigstore trusted root that policies may name. */
export interface KnownTrustRoot {
  readonly name: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly by: string;
  /** Null: it comes with the registry. */
  readonly at: number | null;
}

const PUBLIC_GOOD = Buffer.from(PUBLIC_GOOD_ROOT);
/** The public-good instance of Sigstore, as this release ships it: policies name it without anybody's adding it. */
const SHIPPED: KnownTrustRoot = {
  name: "public-good",
  digest: digestOf(PUBLIC_GOOD),
  size: PUBLIC_GOOD.length,
  by: REGISTRY_ITSELF,
  at: null,
};

/** Keeps a trusted root under a name; those that had it before stay, each by its digest. Throws INVALID for what is none. */
export async function putTrustRoot(services: StatingServices, caller: Caller, name: string, bytes: Uint8Array): Promise<KnownTrustRoot> {
  checkTrustRootName(name);
  const { digest } = parseTrustRoot(bytes);
  return decideAndCommit(services, async () => {
    const found = await findTrustRoot(services, name, digest);
    if (found !== undefined) return { result: found.root };
    const known = await listTrustRoots(services);
    if (known.length > MAX_TRUST_ROOTS)
      throw new RegistryError("CONFLICT", `there are ${MAX_TRUST_ROOTS} trust roots, and more are not allowed`);
    const record: TrustRootRecord = { v: 1, size: bytes.byteLength, by: caller.principal.name, at: services.clock() };
    const change: Change = {
      expect: [{ key: keys.trustRoot(name, digest), version: "absent" }],
      put: [
        { key: keys.trustRoot(name, digest), value: record },
        { key: keys.trustRootContent(digest), value: Uint8Array.from(bytes) },
      ],
      remove: [],
      audit: [
        auditEvent(services, caller.actor, {
          type: "trust-root.put",
          target: { kind: "policy", name, digest },
          after: { size: record.size },
        }),
      ],
    };
    const { size, by, at } = record;
    const told = saidOfTrustRoot({ name, digests: [digest], by, at, says: { event: "put" } });
    return { change: (await stated(services, told, () => change)).change, result: { name, digest, size, by, at } };
  });
}

interface ToldOfTrustRoot {
  readonly name: string;
  readonly digests: readonly Digest[];
  readonly by: string;
  readonly at: number;
  /** `event` is put, update or delete. */
  readonly says: Readonly<Record<string, unknown>>;
}

/** What the registry states of a change of its trust roots. */
export function saidOfTrustRoot({ name, digests, by: actor, at, says }: ToldOfTrustRoot): SaidOfRegistry {
  return { kind: "trust-root", subjects: digests.map((digest) => ({ name, digest })), at, actor, reason: null, says };
}

/** Throws INVALID for what no trust root can be called. */
export function checkTrustRootName(name: string): void {
  if (!trustNameSchema.safeParse(name).success) throw new RegistryError("INVALID", "the name of a trust root is 1 to 63 of a-z, 0-9 and -");
}

/** All trust roots that policies may name, by name and digest, the shipped one first. */
export async function listTrustRoots({ metadata }: Pick<Services, "metadata">): Promise<readonly KnownTrustRoot[]> {
  const rows = await metadata.list(under(keys.trustRoots(), MAX_TRUST_ROOTS));
  return [
    SHIPPED,
    ...rows.map(({ key, value }) => {
      const { size, by, at } = trustRootRecord.parse(value);
      return { name: String(key[1]), digest: digestSchema.parse(key[2]), size, by, at };
    }),
  ];
}

/** A trust root by its name and digest, and what says that it is there. */
export async function findTrustRoot(
  { metadata }: Pick<Services, "metadata">,
  name: string,
  digest: Digest,
): Promise<{ readonly root: KnownTrustRoot; readonly expect: readonly Expectation[] } | undefined> {
  if (name === SHIPPED.name && digest === SHIPPED.digest) return { root: SHIPPED, expect: [] };
  const entry = await metadata.get(keys.trustRoot(name, digest));
  if (entry === undefined) return undefined;
  const { size, by, at } = trustRootRecord.parse(entry.value);
  return { root: { name, digest, size, by, at }, expect: [{ key: entry.key, version: entry.version }] };
}

/** The bytes of a trust root that a policy names; undefined when they are not there. */
export async function trustRootBytes({ metadata }: Pick<Services, "metadata">, digest: Digest): Promise<Uint8Array | undefined> {
  if (digest === SHIPPED.digest) return PUBLIC_GOOD;
  const content = await metadata.get(keys.trustRootContent(digest));
  return content?.value instanceof Uint8Array ? content.value : undefined;
}

/** The document of a trust root of a name, also of one that policies may name no more. */
export async function showTrustRoot(needs: Pick<Services, "metadata">, name: string, digest: Digest): Promise<Uint8Array> {
  const isKnown = (await findTrustRoot(needs, name, digest)) !== undefined || (await wasKnown(needs, name, digest));
  const bytes = isKnown ? await trustRootBytes(needs, digest) : undefined;
  if (bytes === undefined) throw new RegistryError("NOT_FOUND", "there is no such trust root, and there was none");
  return bytes;
}

async function wasKnown({ metadata }: Pick<Services, "metadata">, name: string, digest: Digest): Promise<boolean> {
  if ((await metadata.get(keys.endedTrustRoot(name, digest))) !== undefined) return true;
  const updates = await metadata.list(under(keys.trustRootUpdates(name), MAX_TRUST_ROOTS));
  return updates.some(({ value }) => trustRootUpdateRecord.parse(value).digest === digest);
}
