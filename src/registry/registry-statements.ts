import { type RegistryStatementFacts, registryStatementPayload } from "../lifecycle/registry-statement.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import { keys, under } from "../storage/keys.ts";
import type { Change, Expectation } from "../storage/metadata-store.ts";
import { type RegistryStatementRecord, registryStatementRecord } from "../storage/policy-records.ts";
import type { Services } from "./ports.ts";
import { statementSigner } from "./sign.ts";

/** What it takes to state something of the registry. */
export type StatingServices = Pick<Services, "metadata" | "clock" | "newId" | "settings" | "signing" | "log">;

/** What is stated; the chain and the registry's name come besides. */
export type SaidOfRegistry = Omit<RegistryStatementFacts, "registry" | "sequence" | "previous">;

/** A statement of the registry about itself. */
export interface RegistryStatement extends RegistryStatementRecord {
  readonly sequence: number;
}

/**
 * The same change with a signed statement of it, the next link of the chain of what the registry states of itself: those who change it at the
 * same time come one after the other. Throws UNAVAILABLE when the signing key cannot be used.
 */
export async function stated(
  services: StatingServices,
  said: SaidOfRegistry,
  changeOf: (made: Stated) => Change,
): Promise<Stated & { readonly change: Change }> {
  const { last, expect } = await lastRegistryStatement(services);
  const sequence = (last?.sequence ?? 0) + 1;
  const previous = last?.statement ?? null;
  const payload = registryStatementPayload({ registry: services.settings.publicUrl, sequence, previous, ...said });
  const signer = await statementSigner(services);
  const bundle = new TextDecoder().decode(await signer.bundle(payload));
  const statement = digestOf(payload);
  const record: RegistryStatementRecord = { v: 1, kind: said.kind, subjects: [...said.subjects], at: said.at, statement, bundle };
  const change = changeOf({ statement, bundle });
  return {
    statement,
    bundle,
    change: {
      ...change,
      expect: [...change.expect, signer.unchanged, expect],
      put: [...change.put, { key: expect.key, value: record }],
    },
  };
}

/** The last statement, and what expects that it still is; undefined before the first. */
export async function lastRegistryStatement({
  metadata,
}: Pick<Services, "metadata">): Promise<{ readonly last: RegistryStatement | undefined; readonly expect: Expectation }> {
  const [row] = await metadata.list({ ...under(keys.registryStatements(), 1), reverse: true });
  const last = row && { ...registryStatementRecord.parse(row.value), sequence: Number(row.key[1]) };
  return { last, expect: { key: keys.registryStatement((last?.sequence ?? 0) + 1), version: "absent" } };
}

/** A statement as those who name it know it. */
export interface Stated {
  /** Digest of its payload. */
  readonly statement: Digest;
  /** A Sigstore bundle in JSON. */
  readonly bundle: string;
}

/** What the registry stated of itself after a sequence, oldest first, at most `limit`. */
export async function listRegistryStatements(
  { metadata }: Pick<Services, "metadata">,
  { after, limit }: { readonly after: number; readonly limit: number },
): Promise<readonly RegistryStatement[]> {
  const rows = await metadata.list(under(keys.registryStatements(), limit, after === 0 ? [] : [after]));
  return rows.map(({ key, value }) => ({ ...registryStatementRecord.parse(value), sequence: Number(key[1]) }));
}
