import { isPermanent } from "../lifecycle/summary.ts";
import { type Digest, digestSchema } from "../oci/digest.ts";
import { type RepositoryName, repositoryNameSchema } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import type { Change, Key } from "../storage/metadata-store.ts";
import { type StatementRecord, statementRecord } from "../storage/records.ts";
import { auditEvent } from "./audit-event.ts";
import { decideAndCommit } from "./commit.ts";
import { rowsOf } from "./ordered-rows.ts";
import type { Services } from "./ports.ts";
import { addStatements, rootsOf } from "./reach.ts";
import { waitForWay } from "./right-of-way.ts";
import { findManifest } from "./serving.ts";
import { statementSigner } from "./sign.ts";
import { listingOf } from "./statement-rows.ts";
import { type Link, signLink, signedRows } from "./statements.ts";
import { SYSTEM } from "./system-actor.ts";

/** What signing old statements needs. */
export type SigningServices = Pick<Services, "metadata" | "blobs" | "clock" | "newId" | "settings" | "signing" | "log">;

const PAGE = 256;

/** A link of some chain. */
export interface LinkAt {
  readonly repository: RepositoryName;
  readonly artifact: Digest;
  readonly sequence: number;
}

/** Has a link a manifest of an earlier version, which had no signatures? */
export function isUnsigned<T extends StatementRecord>(link: T): link is T & { readonly manifest: Digest } {
  return link.manifest !== null && link.bundle === undefined;
}

/** Where the row of a link belongs. */
export function linkAt(key: Key): LinkAt {
  return { repository: repositoryNameSchema.parse(key[1]), artifact: digestSchema.parse(key[2]), sequence: Number(key[3]) };
}

/**
 * Signs a link that an earlier version wrote without a signature: its manifest is written anew, signed, and listed in place of the unsigned
 * one, which stays for whoever knows its digest. False when there is nothing to sign. One change a link, so that it can end anywhere.
 */
export async function signUnsigned(services: SigningServices, at: LinkAt): Promise<boolean> {
  return decideAndCommit(services, async () => {
    const key = keys.statement(at.repository, at.artifact, at.sequence);
    const entry = await services.metadata.get(key);
    const link = entry && statementRecord.parse(entry.value);
    if (entry === undefined || link === undefined || !isUnsigned(link)) return { result: false };
    const way = await waitForWay(services, at.repository);
    const change = await decided(services, at, { ...link, sequence: at.sequence, unsigned: link.manifest });
    return { change: { ...change, expect: [...change.expect, { key, version: entry.version }, way] }, result: true };
  });
}

async function decided(services: SigningServices, at: LinkAt, link: Link & { readonly unsigned: Digest }): Promise<Change> {
  const { metadata } = services;
  const { repository } = at;
  // Every transition expects and puts it; the roots that show the statement are thus those that there are when it is signed.
  const place = keys.repository(repository);
  const holder = await metadata.get(place);
  const found = await findManifest(services, repository, at.artifact);
  if (holder === undefined || found === undefined) throw new Error("a statement without an artifact");
  const signer = await statementSigner(services);
  const isSummarised = !(await isLifted(services, at, link));
  const signed = await signLink(signer, { repository, artifact: found.record, link, isSummarised });
  const rows = await signedRows(services, repository, [signed]);
  const roots = await rootsOf(services, repository, link.unsigned);
  return {
    expect: [signer.unchanged, { key: place, version: holder.version }, ...rows.expect],
    put: [
      ...rows.put,
      { key: place, value: holder.value },
      ...[...roots].flatMap((root) => addStatements(repository, root, rows.contents).put),
    ],
    remove: await listingOf(services, repository, link.unsigned),
    audit: [
      auditEvent(services, SYSTEM, {
        type: "statement.sign",
        target: { kind: "artifact", name: repository, digest: at.artifact },
        after: { sequence: at.sequence, manifest: signed.link.manifest },
      }),
    ],
  };
}

/** Was this a revocation that a later promotion lifted? */
async function isLifted(services: SigningServices, { repository, artifact, sequence }: LinkAt, { state, payload }: Link): Promise<boolean> {
  if (state !== "revoked" || isPermanent(payload)) return false;
  for await (const { value } of rowsOf(services, [under(keys.statements(repository, artifact), PAGE, [sequence])])) {
    if (statementRecord.parse(value).state === "trusted") return true;
  }
  return false;
}
