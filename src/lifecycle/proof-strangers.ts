import { type Digest, digestOf } from "../oci/digest.ts";
import { APPROVAL_PREDICATE } from "./approval.ts";
import { KEY_PREDICATE } from "./key-statement.ts";
import type { OpenedStatement } from "./proof-bundle.ts";
import { signatureOn } from "./proof-chains.ts";
import type { ProofFault, ProofFaultCode } from "./proof-fault.ts";
import type { ProofKey } from "./proof-keys.ts";
import {
  approvalSchema,
  digestIn,
  keyLinkSchema,
  linkSchema,
  namesIn,
  registryLinkSchema,
  snapshotSchema,
  summarySchema,
} from "./proof-statement.ts";
import { REGISTRY_STATEMENTS, predicateOf } from "./registry-statement.ts";
import { SNAPSHOT_PREDICATE } from "./snapshot.ts";
import { LIFECYCLE_PREDICATE } from "./statement.ts";
import { SUMMARY_PREDICATE } from "./summary.ts";

/** What is known by now: everything that belongs to the proof. */
export interface Belonging {
  readonly keys: readonly ProofKey[];
  /** Where the chains end, by the names of the snapshot, and from which link on they were walked. */
  readonly heads: ReadonlyMap<string, { readonly last: number; readonly from: number }>;
  /** Bundles of the summaries that the snapshot names. */
  readonly summaries: ReadonlySet<Digest>;
  /** Digests of the links, key statements and revocations of authorities that were found to hold. */
  readonly statements: ReadonlySet<Digest>;
  /** What the registry was called when it signed them. */
  readonly registries: ReadonlySet<string>;
}

/** A statement that would end up as a fault, with what it revokes for good: that holds though the statement belongs to no chain. */
export interface Stranger {
  readonly fault: ProofFault;
  readonly revokes: { readonly repository: string; readonly artifact: Digest; readonly everywhere: boolean } | undefined;
}

/**
 * A statement that is or claims to be the registry's own and does not belong to the proof. Those of others, which people attach to artifacts
 * as evidence, are none; nor are those of another registry that came with a copy. Snapshots are held against each other elsewhere.
 */
export function strangerOf(statement: OpenedStatement, belonging: Belonging): Stranger | undefined {
  const isOurs = statement.predicateType === SNAPSHOT_PREDICATE || belongs(statement, belonging);
  if (isOurs || !claimsToBeOwn(statement, belonging)) return undefined;
  const isSigned = isGenuine(statement, belonging);
  const code = isSigned ? codeOf(statement, belonging) : "forged";
  return code && { fault: { code, about: statement.held.manifest }, revokes: isSigned ? revokedBy(statement) : undefined };
}

/**
 * Is a statement the registry's own, whether it belongs to the proof or not, or does it claim to be? Approvals change no state: those that
 * the registry signed may be there like any other evidence.
 */
export function claimsToBeOwn(statement: OpenedStatement, belonging: Belonging): boolean {
  const claimed = claimantOf(statement);
  if (claimed === undefined || isSoundApproval(statement, belonging)) return false;
  return belonging.registries.has(claimed) || belongs(statement, belonging) || isGenuine(statement, belonging);
}

/** Is it the link of a known chain that comes after the one in which the chain ended? */
export function isNewerLink(statement: OpenedStatement, belonging: Belonging): boolean {
  const place = chainOf(statement);
  const head = place && belonging.heads.get(place.name);
  return place !== undefined && head !== undefined && place.sequence > head.last && isGenuine(statement, belonging);
}

function isSoundApproval(statement: OpenedStatement, belonging: Belonging): boolean {
  const approval = approvalIn(statement);
  const { subject } = statement.held;
  return approval !== undefined && subject !== undefined && namesIn(approval).has(subject) && isGenuine(statement, belonging);
}

function isGenuine(statement: OpenedStatement, { keys }: Pick<Belonging, "keys">): boolean {
  return signatureOn(statement, ANY_TIME, keys) !== "none";
}

/** The chain that a link says it belongs to, and its place there; undefined for other statements. */
export function chainOf(statement: OpenedStatement): { readonly name: string; readonly sequence: number } | undefined {
  const link = linkIn(statement);
  return link && { name: `${link.predicate.repository}@${artifactOf(link)}`, sequence: link.predicate.seq };
}

const ANY_TIME = 0;

function belongs({ predicateType, digest, held }: OpenedStatement, { statements, summaries }: Belonging): boolean {
  return predicateType === SUMMARY_PREDICATE ? summaries.has(digestOf(held.bytes)) : statements.has(digest);
}

/** Undefined for a link before a gap in its chain: the gap is the fault, and what stood before it cannot be told. */
function codeOf(statement: OpenedStatement, { heads }: Belonging): ProofFaultCode | undefined {
  if (approvalIn(statement) !== undefined) return "wrong-subject";
  const place = chainOf(statement);
  const head = place && heads.get(place.name);
  if (place === undefined || head === undefined || place.sequence > head.last) return "statement-unexpected";
  return place.sequence >= head.from ? "chain-forked" : undefined;
}

function revokedBy(statement: OpenedStatement): Stranger["revokes"] {
  const link = linkIn(statement);
  if (link?.predicate.permanent !== true) return undefined;
  const { repository, scope } = link.predicate;
  return { repository, artifact: artifactOf(link), everywhere: scope === "digest" };
}

type Link = ReturnType<typeof linkSchema.parse>;

function linkIn({ predicateType, statement }: Pick<OpenedStatement, "predicateType" | "statement">): Link | undefined {
  return predicateType === LIFECYCLE_PREDICATE ? linkSchema.safeParse(statement).data : undefined;
}

function approvalIn({ predicateType, statement }: Pick<OpenedStatement, "predicateType" | "statement">): Approval | undefined {
  return predicateType === APPROVAL_PREDICATE ? approvalSchema.safeParse(statement).data : undefined;
}

type Approval = ReturnType<typeof approvalSchema.parse>;

function artifactOf({ subject }: Link): Digest {
  return digestIn(subject[0]?.digest ?? { sha256: "" });
}

function claimedRegistry(statement: unknown): string | undefined {
  return registryLinkSchema.safeParse(statement).data?.predicate.registry;
}

/** Where a statement says of which registry it is. */
const CLAIMS: ReadonlyMap<string, (statement: unknown) => string | undefined> = new Map([
  [SUMMARY_PREDICATE, (statement) => summarySchema.safeParse(statement).data?.predicate.verifier.id],
  [KEY_PREDICATE, (statement) => keyLinkSchema.safeParse(statement).data?.predicate.registry],
  [SNAPSHOT_PREDICATE, (statement) => snapshotSchema.safeParse(statement).data?.predicate.registry],
  [APPROVAL_PREDICATE, (statement) => approvalSchema.safeParse(statement).data?.predicate.registry],
  [LIFECYCLE_PREDICATE, (statement) => linkSchema.safeParse(statement).data?.predicate.registry],
  ...REGISTRY_STATEMENTS.map((kind) => [predicateOf(kind), claimedRegistry] as const),
]);

/** The registry that a statement says it is of; undefined for statements of kinds that are none of ours. */
export function claimantOf({ predicateType, statement }: OpenedStatement): string | undefined {
  return CLAIMS.get(predicateType)?.(statement);
}
