import { type Digest, digestSchema } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { type ProvenAuthority, proveAuthorities } from "./proof-authorities.ts";
import { type HeldStatement, type OpenedStatement, openStatement } from "./proof-bundle.ts";
import { type ChainPlace, type ProvenLink, type WalkedChain, walkChain } from "./proof-chains.ts";
import type { ProofFault } from "./proof-fault.ts";
import type { ProofKey } from "./proof-keys.ts";
import { type Checker, type FoundSnapshots, findSnapshots } from "./proof-snapshot.ts";
import type { ProofSnapshot } from "./proof-statement.ts";
import { type Belonging, type Stranger, chainOf, strangerOf } from "./proof-strangers.ts";
import { byBundle, summaryFaults } from "./proof-summaries.ts";
import { LIFECYCLE_PREDICATE } from "./statement.ts";
import type { State } from "./state.ts";

/** What an artifact is, as its chain and the snapshot prove it. */
interface ProvenState {
  readonly repository: RepositoryName;
  readonly artifact: Digest;
  readonly state: State;
  readonly sequence: number;
  /** Digest of the last statement. */
  readonly statement: Digest;
  /** Was it revoked for good? */
  readonly permanent: boolean;
  readonly links: readonly ProvenLink[];
}

/** What a layout proves. */
export interface Proven {
  /** What all snapshots say; undefined when there is none that could be believed. */
  readonly snapshot: ProofSnapshot["predicate"] | undefined;
  /** What they were taken of, in order. */
  readonly artifacts: readonly Digest[];
  readonly keys: readonly ProofKey[];
  /** Those that were believed no more; undefined where the snapshot does not tell. */
  readonly authorities: readonly ProvenAuthority[] | undefined;
  /** By repository and digest. Where anything is at fault, permanent revocations alone: they hold by being there. */
  readonly states: readonly ProvenState[];
  readonly faults: readonly ProofFault[];
}

/**
 * Rebuilds the states of artifacts from statements alone, without the registry (trust.md §7.1 and §9). Snapshots say where every chain
 * ends, each link names the one before by its digest, and all are signed with keys that lead back to one that is trusted: what was hidden,
 * put in another order, forged or made twice is a fault. Pure.
 */
export function prove(held: Iterable<HeldStatement>, checker: Checker): Proven {
  const statements = [...held].flatMap((each) => openStatement(each) ?? []);
  const found = findSnapshots(statements, checker);
  if (!("said" in found)) return { snapshot: undefined, artifacts: [], keys: [], authorities: undefined, states: [], faults: found };
  const { authorities, states, faults } = rebuilt(statements, found);
  const shown = faults.length === 0 ? states : states.filter(({ state, permanent }) => permanent && state === "revoked");
  return { snapshot: found.said, artifacts: found.artifacts, keys: found.keys, authorities, states: shown, faults };
}

interface Rebuilt {
  readonly authorities: readonly ProvenAuthority[] | undefined;
  readonly states: readonly ProvenState[];
  readonly faults: readonly ProofFault[];
}

function rebuilt(statements: readonly OpenedStatement[], { said: snapshot, keys }: FoundSnapshots): Rebuilt {
  const links = statements.filter(({ predicateType }) => predicateType === LIFECYCLE_PREDICATE);
  const byDigest = Map.groupBy(links, ({ digest }) => digest);
  const bundles = byBundle(statements);
  const known = new Set(links.flatMap((link) => chainOf(link)?.name ?? []));
  const chains = placesIn(snapshot, known).map((place) => ({ place, chain: walkChain(place, byDigest, keys) }));
  const revoked = proveAuthorities(snapshot, statements, keys);
  const strangers = strangersAmong(statements, belongingTo(snapshot, keys, chains));
  const barred = barredBy(strangers);
  const found = chains.map(({ place, chain }) => stateOf(place, chain, barred));
  return {
    authorities: revoked.authorities,
    states: found.flatMap(({ state }) => state ?? []),
    faults: [
      ...chains.flatMap(({ place, chain }) => [...chain.faults, ...summaryFaults(place, chain, bundles, keys)]),
      ...found.flatMap(({ faults }) => faults),
      ...revoked.faults,
      ...strangers.map(({ fault }) => fault),
    ],
  };
}

function placesIn({ repository, subjects }: ProofSnapshot["predicate"], known: ReadonlySet<string>): readonly ChainPlace[] {
  return Object.entries(subjects)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, head]) => {
      const artifact = digestSchema.parse(name.slice(name.indexOf("@") + 1));
      return { name, repository, artifact, head, isKnown: known.has(name) };
    });
}

function belongingTo(
  snapshot: ProofSnapshot["predicate"],
  keys: readonly ProofKey[],
  chains: readonly { readonly place: ChainPlace; readonly chain: WalkedChain }[],
): Belonging {
  const links = chains.flatMap(({ chain }) => chain.links);
  const summaries = chains.flatMap(({ place }) => place.head.summaries.map(({ bundle }) => bundle));
  return {
    keys,
    heads: new Map(chains.map(({ place, chain }) => [place.name, { last: place.head.seq, from: chain.from }])),
    summaries: new Set(summaries),
    statements: new Set([...[...links, ...keys].map(({ statement }) => statement), ...(snapshot.revokedAuthorities ?? [])]),
    registries: new Set([snapshot, ...links, ...keys].map(({ registry }) => registry)),
  };
}

function strangersAmong(statements: readonly OpenedStatement[], belonging: Belonging): readonly Stranger[] {
  return statements.flatMap((statement) => strangerOf(statement, belonging) ?? []);
}

/**
 * The state that a chain leads to. A permanent revocation absorbs, wherever it stands and whether it is in the chain or not: nothing but a
 * deletion ends it, and nothing that comes after makes the artifact trusted again.
 */
function stateOf({ name, repository, artifact, head }: ChainPlace, { links }: WalkedChain, barred: ReadonlySet<string>): Led {
  const isBarredElsewhere = barred.has(name) || barred.has(artifact);
  const last = links.at(-1);
  if (last === undefined && !isBarredElsewhere) return { state: undefined, faults: [] };
  const barredFrom = links.findIndex(({ permanent }) => permanent);
  const isDefied = barredFrom !== -1 && links.slice(barredFrom).some(({ state }) => state === "trusted");
  const isBarred = isDefied || isBarredElsewhere;
  return {
    state: {
      repository,
      artifact,
      state: isBarred ? "revoked" : (last?.state ?? head.state),
      sequence: head.seq,
      statement: head.statement,
      permanent: isBarred || barredFrom !== -1,
      links,
    },
    faults: [...faultIf(isDefied, "trusted-after-permanent-revocation", name), ...faultIf(!isAsSaid(links, head), "state-mismatch", name)],
  };
}

/** What is revoked for good by statements that belong to no chain, by name, or by digest where that holds everywhere. */
function barredBy(strangers: readonly Stranger[]): ReadonlySet<string> {
  const revocations = strangers.flatMap(({ revokes }) => revokes ?? []);
  return new Set(revocations.map(({ repository, artifact, everywhere }) => (everywhere ? artifact : `${repository}@${artifact}`)));
}

interface Led {
  readonly state: ProvenState | undefined;
  readonly faults: readonly ProofFault[];
}

function isAsSaid(links: readonly ProvenLink[], head: ChainPlace["head"]): boolean {
  const last = links.at(-1);
  return last === undefined || (last.state === head.state && links.some(({ permanent }) => permanent) === head.permanent);
}

function faultIf(isFault: boolean, code: ProofFault["code"], about: string): readonly ProofFault[] {
  return isFault ? [{ code, about }] : [];
}
