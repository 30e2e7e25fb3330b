import { revokedAuthorityList } from "../api/authorities.ts";
import { publicKeyList } from "../api/keys.ts";
import { type SnapshotAnswer, snapshotAnswer } from "../api/snapshot.ts";
import { type OpenedStatement, openStatement } from "../lifecycle/proof-bundle.ts";
import { keysUpTo } from "../lifecycle/proof-keys.ts";
import { type ProofSnapshot, snapshotSchema } from "../lifecycle/proof-statement.ts";
import type { Belonging } from "../lifecycle/proof-strangers.ts";
import { canonicalJson } from "../oci/canonical-json.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import type { ArtifactRef } from "./artifact-ref.ts";
import { type NativeClient, artifactPath } from "./client.ts";
import { CliError, EXIT } from "./failure.ts";
import { MovedOn } from "./moved-on.ts";

/** What belongs into an export by the registry's word: statements, keys, and the snapshot that says where all of it ends. */
export interface ExportPlan {
  readonly answer: SnapshotAnswer;
  readonly snapshot: Uint8Array;
  readonly said: ProofSnapshot["predicate"];
  /** The statements about keys, oldest first. */
  readonly keyStatements: readonly OpenedStatement[];
  /** The revocations of authorities that the snapshot names. */
  readonly revocations: readonly OpenedStatement[];
  /** Manifests of the statements that are named. */
  readonly own: ReadonlySet<Digest>;
  readonly belonging: Belonging;
}

/** Asks the registry what an export of an artifact consists of; `maxAge` is how old (s) the snapshot may be. */
export async function planExport(native: NativeClient, ref: ArtifactRef, maxAge: number | undefined): Promise<ExportPlan> {
  const answer = await native.request({ method: "GET", path: artifactPath(ref, "snapshot"), query: { max_age: maxAge } }, snapshotAnswer);
  const { keys: shown } = await native.request({ method: "GET", path: "/v1/keys" }, publicKeyList);
  const opened = opening(answer.snapshot);
  const said = snapshotSchema.safeParse(opened?.statement).data?.predicate;
  const all = shown.flatMap(({ purpose, statement }) => (purpose === "attestation" ? (opening(statement) ?? []) : []));
  const keys = said && keysUpTo(said.keys.statement, all);
  if (opened === undefined || said === undefined || keys === undefined) {
    throw new CliError(EXIT.failure, "the registry's snapshot and its keys do not belong together: try again");
  }
  const revocations = await revocationsFor(native, said.revokedAuthorities ?? []);
  const links = answer.chains.flatMap((chain) => chain.links);
  const byDigest = new Map(all.map((statement) => [statement.digest, statement]));
  return {
    answer,
    snapshot: opened.held.bytes,
    said,
    keyStatements: keys.flatMap(({ statement }) => byDigest.get(statement) ?? []),
    revocations,
    own: new Set(links.flatMap(({ manifest, summary }) => [manifest ?? [], summary?.manifest ?? []].flat())),
    belonging: {
      keys,
      heads: new Map(Object.entries(said.subjects).map(([name, { seq }]) => [name, { last: seq, from: 1 }])),
      summaries: new Set(Object.values(said.subjects).flatMap(({ summaries }) => summaries.map(({ bundle }) => bundle))),
      statements: new Set([...[...links, ...keys].map(({ statement }) => statement), ...revocations.map(({ digest }) => digest)]),
      registries: new Set([said, ...keys].map(({ registry }) => registry)),
    },
  };
}

async function revocationsFor(native: NativeClient, named: readonly Digest[]): Promise<readonly OpenedStatement[]> {
  if (named.length === 0) return [];
  const { revoked_authorities: list } = await native.request({ method: "GET", path: "/v1/revoked-authorities" }, revokedAuthorityList);
  const opened = new Map(list.map(({ statement, bundle }) => [statement, opening(bundle)]));
  return named.map((statement) => {
    const found = opened.get(statement);
    if (found === undefined) throw new MovedOn("a publisher is believed again");
    return found;
  });
}

/** A bundle in JSON; its bytes are the ones that the registry signed, since it writes bundles in canonical form. */
function opening(bundle: unknown): OpenedStatement | undefined {
  const bytes = Buffer.from(canonicalJson(bundle));
  return openStatement({ manifest: digestOf(bytes), subject: undefined, form: "bundle", bytes });
}
