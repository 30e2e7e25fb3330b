import { type StatementFacts, lifecycleLabel, statementConfig, statementPayload } from "../lifecycle/statement.ts";
import { summaryOf } from "../lifecycle/summary.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { type Content, keys } from "../storage/keys.ts";
import type { Expectation, Put } from "../storage/metadata-store.ts";
import { type ManifestRecord, type StatementRecord, statementRecord } from "../storage/records.ts";
import { publishOwnBlobs } from "./own-blobs.ts";
import type { Services } from "./ports.ts";
import { type StatementSigner, statementSigner } from "./sign.ts";
import { type StoredStatement, storedStatement } from "./statement-rows.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "clock" | "newId" | "settings" | "signing" | "log">;

/** What a transition says; the chain adds sequence and previous. */
export type Said = Pick<StatementFacts, "everywhere" | "actor" | "permanent" | "inputs" | "at" | "reason" | "policy">;

/** A link of an artifact's chain with its place. */
export type Link = StatementRecord & { readonly sequence: number };

/** The link that follows in an artifact's chain, as a payload only: what a push commits (RULES 28). */
export function nextLink(
  needs: Pick<Services, "settings">,
  repository: RepositoryName,
  record: Pick<ManifestRecord, "digest" | "sha512" | "state" | "sequence" | "previous">,
  said: Said,
): Link {
  const sequence = record.sequence + 1;
  const payload = statementPayload({
    registry: needs.settings.publicUrl,
    repository,
    subject: { sha256: record.digest, sha512: record.sha512 },
    state: record.state,
    sequence,
    previous: record.previous,
    ...said,
  });
  const { at, actor, reason } = said;
  return { v: 1, payload, digest: digestOf(payload), manifest: null, state: record.state, at, actor, reason, sequence };
}

/** The row of a link. */
export function linkRow(repository: RepositoryName, artifact: Digest, { sequence, ...link }: Link): Put {
  return { key: keys.statement(repository, artifact, sequence), value: link };
}

export interface WrittenStatements {
  readonly expect: readonly Expectation[];
  readonly put: readonly Put[];
  /** What is written now. */
  readonly contents: readonly Content[];
  readonly sequence: number;
  readonly previous: Digest;
}

/**
 * The next link of an artifact's chain, signed, with its manifest, and with that of the link before when it was not written yet. `after` is
 * the record as the transition leaves it, but for sequence and previous, which are still those of the last link. Throws UNAVAILABLE when
 * the signing key cannot be used.
 */
export async function writeStatements(
  needs: Needs,
  repository: RepositoryName,
  after: ManifestRecord,
  said: Said,
): Promise<WrittenStatements> {
  const link = nextLink(needs, repository, after, said);
  const links = [...(await unwritten(needs, repository, after)), link];
  const signer = await statementSigner(needs);
  const signed: SignedLink[] = [];
  for (const each of links) signed.push(await signLink(signer, { repository, artifact: after, link: each, isSummarised: true }));
  const rows = await signedRows(needs, repository, signed);
  const expect = [signer.unchanged, ...rows.expect];
  return { expect, put: rows.put, contents: rows.contents, sequence: link.sequence, previous: link.digest };
}

/** A link with its statements as they are stored. */
export interface SignedLink {
  readonly row: Put;
  readonly link: Link;
  readonly stored: readonly StoredStatement[];
}

/** Signs a link, and the summary of a promotion or revocation that is listed with it. */
export async function signLink(
  signer: StatementSigner,
  {
    repository,
    artifact,
    link,
    isSummarised,
  }: { readonly repository: RepositoryName; readonly artifact: ManifestRecord; readonly link: Link; readonly isSummarised: boolean },
): Promise<SignedLink> {
  const bundle = await signer.bundle(link.payload);
  const statement = storedStatement({ repository, artifact, bundle, label: lifecycleLabel(link) });
  const says = isSummarised ? summaryOf(link.payload, artifact.digest) : undefined;
  const summary = says && storedStatement({ repository, artifact, bundle: await signer.bundle(says.payload), label: says.label });
  const signed: Link = {
    ...link,
    manifest: statement.manifest,
    bundle: statement.bundle,
    ...(summary === undefined ? {} : { summary: { manifest: summary.manifest, bundle: summary.bundle } }),
  };
  return {
    row: linkRow(repository, artifact.digest, signed),
    link: signed,
    stored: summary === undefined ? [statement] : [statement, summary],
  };
}

/** The rows of signed links, and their blobs, which are published. */
export async function signedRows(
  needs: Needs,
  repository: RepositoryName,
  signed: readonly SignedLink[],
): Promise<Pick<WrittenStatements, "expect" | "put" | "contents">> {
  const stored = signed.flatMap((each) => each.stored);
  const blobs = await publishOwnBlobs(
    needs,
    repository,
    stored.flatMap((each) => each.blobs),
  );
  return {
    expect: [...blobs.expect, ...stored.flatMap(({ expect }) => expect)],
    put: [...blobs.put, ...stored.flatMap(({ put }) => put), ...signed.map(({ row }) => row)],
    contents: signed.flatMap(({ link }) => statementContents(repository, link)),
  };
}

/** What the statements of a link consist of, as content of their repository; nothing before they are written. */
export function statementContents(repository: RepositoryName, link: StatementRecord): readonly Content[] {
  const { manifest, bundle, summary, unsigned, digest } = link;
  if (manifest === null) return [];
  const isSigned = bundle !== undefined;
  const manifests = [manifest, unsigned, summary?.manifest];
  // One that is or was unsigned has its payload as a layer.
  const blobs = [digestOf(statementConfig(repository)), bundle, summary?.bundle, isSigned && unsigned === undefined ? undefined : digest];
  return [
    ...manifests.flatMap((each) => (each === undefined ? [] : [{ kind: "manifest", digest: each } as const])),
    ...blobs.flatMap((each) => (each === undefined ? [] : [{ kind: "blob", digest: each } as const])),
  ];
}

async function unwritten(needs: Needs, repository: RepositoryName, record: ManifestRecord): Promise<readonly Link[]> {
  if (record.sequence === 0) return [];
  const entry = await needs.metadata.get(keys.statement(repository, record.digest, record.sequence));
  const last = entry && statementRecord.parse(entry.value);
  return last === undefined || last.manifest !== null ? [] : [{ ...last, sequence: record.sequence }];
}
