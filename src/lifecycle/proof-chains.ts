import type { Digest } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { type OpenedStatement, isSignedWith } from "./proof-bundle.ts";
import type { ProofFault, ProofFaultCode } from "./proof-fault.ts";
import type { ProofKey } from "./proof-keys.ts";
import { type ProofHead, digestIn, linkSchema, namesIn } from "./proof-statement.ts";
import type { State } from "./state.ts";

/** A link that was found and holds. Times are epoch milliseconds. */
export interface ProvenLink {
  readonly sequence: number;
  readonly state: State;
  readonly statement: Digest;
  readonly at: number;
  readonly actor: string;
  readonly reason: string | undefined;
  readonly permanent: boolean;
  readonly registry: string;
  readonly policy: string | undefined;
  /** Digests of what a promotion rested on. */
  readonly inputs: readonly string[];
}

/** Which chain it is, and where it ends. */
export interface ChainPlace {
  /** As the snapshot names it: `<repository>@<digest>`. */
  readonly name: string;
  readonly repository: RepositoryName;
  readonly artifact: Digest;
  readonly head: ProofHead;
  /** Is any statement about it there? */
  readonly isKnown: boolean;
}

/** The links of a chain as far as they were found, oldest first, and what is wrong with it. */
export interface WalkedChain {
  readonly links: readonly ProvenLink[];
  /** The names of the manifest that its links are about. */
  readonly names: ReadonlySet<string>;
  /** Links before this one were not looked for, since nothing names them; 1 where all were found. */
  readonly from: number;
  readonly faults: readonly ProofFault[];
}

/** The link of a chain at a place, if it was found. */
export function linkAt({ links }: WalkedChain, sequence: number): ProvenLink | undefined {
  return links[sequence - (links[0]?.sequence ?? 1)];
}

type Link = ReturnType<typeof linkSchema.parse>;

/** Walks a chain from the statement that the snapshot names back to the first one. */
export function walkChain(
  place: ChainPlace,
  byDigest: ReadonlyMap<Digest, readonly OpenedStatement[]>,
  keys: readonly ProofKey[],
): WalkedChain {
  const walk = new Walk(place, keys);
  let next: Digest | null = place.head.statement;
  for (let sequence = place.head.seq; sequence > 0 && next !== null; sequence -= 1) {
    next = walk.step(next, byDigest.get(next) ?? [], sequence);
  }
  return walk.end();
}

class Walk {
  readonly #place: ChainPlace;
  readonly #keys: readonly ProofKey[];
  /** The last one first. */
  readonly #links: ProvenLink[] = [];
  readonly #faults: ProofFault[] = [];
  #names: ReadonlySet<string> = new Set();

  constructor(place: ChainPlace, keys: readonly ProofKey[]) {
    this.#place = place;
    this.#keys = keys;
  }

  /** Takes the link of this digest; the digest of the one before, or null when the walk is over. */
  step(digest: Digest, copies: readonly OpenedStatement[], sequence: number): Digest | null {
    const { name, isKnown } = this.#place;
    const [first] = copies;
    if (first === undefined) return this.#refuse(isKnown ? "statement-missing" : "chain-missing", `${name} ${sequence}`);
    const { data } = linkSchema.safeParse(first.statement);
    if (data === undefined || !this.#belongs(data, sequence)) return this.#refuse("chain-broken", `${name} ${sequence}`);
    this.#names = namesIn(data);
    this.#checkCopies(copies);
    this.#checkSignature(copies, data);
    this.#links.push(linkFrom(data, digest));
    return data.predicate.prev && digestIn(data.predicate.prev);
  }

  end(): WalkedChain {
    const { head } = this.#place;
    const from = head.seq - this.#links.length + 1;
    return { links: this.#links.toReversed(), names: this.#names, from, faults: this.#faults };
  }

  #belongs({ subject, predicate }: Link, sequence: number): boolean {
    const { repository, artifact } = this.#place;
    const isFirst = predicate.prev === null;
    const isAbout = subject[0] !== undefined && digestIn(subject[0].digest) === artifact && predicate.repository === repository;
    return isAbout && predicate.seq === sequence && isFirst === (sequence === 1) && (!isFirst || predicate.state === "acquired");
  }

  /** A link is attached to what it is about, wherever it is held. */
  #checkCopies(copies: readonly OpenedStatement[]): void {
    for (const { held } of copies) {
      if (held.subject === undefined || !this.#names.has(held.subject)) this.#refuse("wrong-subject", held.manifest);
    }
  }

  /** What was only pushed is signed with the link that follows (RULES 28): until then it is the snapshot that vouches for it. */
  #checkSignature(copies: readonly OpenedStatement[], { predicate }: Link): void {
    const { name, head } = this.#place;
    const isUnsigned = predicate.seq === head.seq && predicate.state === "acquired";
    const signed = copies.filter(({ held }) => held.form === "bundle");
    if (signed.length === 0 && isUnsigned) return;
    const follower = this.#links.at(-1);
    const at = predicate.state === "acquired" ? (follower?.at ?? predicate.effectiveAt) : predicate.effectiveAt;
    const found = signed.map((copy) => signatureOn(copy, at, this.#keys));
    const forged = signed.find((_, n) => found[n] === "none");
    if (forged !== undefined) this.#refuse("forged", forged.held.manifest);
    else if (!found.includes("right")) this.#refuse(signed.length === 0 ? "forged" : "key-out-of-range", `${name} ${predicate.seq}`);
  }

  #refuse(code: ProofFaultCode, about: string): null {
    this.#faults.push({ code, about });
    return null;
  }
}

function linkFrom({ predicate }: Link, statement: Digest): ProvenLink {
  const { seq, state, effectiveAt, actor, reason, permanent, registry, policy, inputs } = predicate;
  return {
    sequence: seq,
    state,
    statement,
    at: effectiveAt,
    actor,
    reason,
    permanent: permanent === true,
    registry,
    policy: policy?.uri,
    inputs: inputs.flatMap(({ digest }) => Object.entries(digest).map(([algorithm, encoded]) => `${algorithm}:${encoded}`)),
  };
}

/** Is the statement signed with a key of the registry, and one that signed at that time? */
export function signatureOn(statement: OpenedStatement, at: number, keys: readonly ProofKey[]): "right" | "out-of-range" | "none" {
  const named = keys.filter(({ id }) => id === statement.signature?.keyId);
  const [first] = named;
  if (first === undefined || !isSignedWith(statement, first.key)) return "none";
  return named.some(({ from, until }) => at >= from && at <= until) ? "right" : "out-of-range";
}
