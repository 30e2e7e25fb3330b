import { type KeyObject, generateKeyPairSync, sign } from "node:crypto";
import { keyHint, preAuthEncoding, sigstoreBundle } from "../../src/lifecycle/dsse.ts";
import { keyStatementPayload } from "../../src/lifecycle/key-statement.ts";
import type { HeldStatement } from "../../src/lifecycle/proof-bundle.ts";
import { registryStatementPayload } from "../../src/lifecycle/registry-statement.ts";
import { snapshotPayload } from "../../src/lifecycle/snapshot.ts";
import type { State } from "../../src/lifecycle/state.ts";
import { type StatementFacts, statementPayload } from "../../src/lifecycle/statement.ts";
import { summaryOf } from "../../src/lifecycle/summary.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";

const REGISTRY = "https://registry.example";
export const START = Date.parse("2026-01-01T00:00:00Z");
const MINUTE = 60_000;
const DAY = 86_400_000;

/** A key pair with what the registry calls it. Making one takes time, so that tests share some. */
export interface SigningKey {
  readonly id: string;
  readonly privateKey: KeyObject;
  readonly publicPem: string;
}

export function makeKey(): SigningKey {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const id = keyHint(publicKey.export({ type: "spki", format: "der" }));
  return { id, privateKey, publicPem: publicKey.export({ type: "spki", format: "pem" }) };
}

/** A bundle as the registry makes it, with whatever key. */
export function bundleOf(payload: string, key: SigningKey): Uint8Array {
  return sigstoreBundle(payload, sign("sha256", preAuthEncoding(payload), key.privateKey), key.id);
}

let manifests = 0;

/** A statement as it is held in some manifest of a layout. */
export function heldBundle(bytes: Uint8Array, subject: Digest | undefined, form: HeldStatement["form"] = "bundle"): HeldStatement {
  manifests += 1;
  return { manifest: digestOf(`manifest ${manifests}`), subject, form, bytes };
}

interface ToldLink {
  readonly payload: string;
  readonly digest: Digest;
  readonly state: State;
  readonly permanent: boolean;
  /** Undefined while it is not signed. */
  held: HeldStatement | undefined;
  summary: { held: HeldStatement; bundle: Digest; result: string } | undefined;
}

/** A registry's statements about some artifacts, made as the registry makes them, with keys that are given. */
export class Story {
  readonly repository: string;
  readonly keyStatements: HeldStatement[] = [];
  readonly chains = new Map<string, { readonly digest: Digest; readonly sha512: Digest; readonly links: ToldLink[] }>();
  readonly #keys: SigningKey[] = [];
  /** Statements of revoked authorities by their digest. */
  readonly revocations = new Map<Digest, HeldStatement>();
  #registryLast: { sequence: number; statement: Digest } | null = null;
  #lastKeyStatement: Digest | null = null;
  now = START;

  readonly #registry: string;

  constructor(first: SigningKey, repository = "models/m", registry = REGISTRY) {
    this.repository = repository;
    this.#registry = registry;
    this.rotate(first);
  }

  get key(): SigningKey {
    const key = this.#keys.at(-1);
    if (key === undefined) throw new Error("no key");
    return key;
  }

  get allKeys(): readonly SigningKey[] {
    return this.#keys;
  }

  /** Another key signs from now on, named by the one before; or by itself where that one is lost. */
  rotate(next: SigningKey, { lost = false } = {}): void {
    const by = lost ? next : (this.#keys.at(-1) ?? next);
    const payload = keyStatementPayload({
      registry: this.#registry,
      key: { keyId: next.id, algorithm: "PKIX_ECDSA_P256_SHA_256", publicPem: next.publicPem },
      sequence: this.#keys.length + 1,
      previous: this.#lastKeyStatement,
      at: this.now,
      actor: "operator",
      reason: null,
      signedBy: by.id,
    });
    this.keyStatements.push(heldBundle(bundleOf(payload, by), undefined));
    this.#lastKeyStatement = digestOf(payload);
    this.#keys.push(next);
    this.now += MINUTE;
  }

  push(name: string): Digest {
    const known = this.chains.get(name) ?? { digest: digestOf(name), sha512: digestOf(name, "sha512"), links: [] };
    this.chains.set(name, known);
    this.#add(name, "acquired", {});
    return known.digest;
  }

  /** Somebody is believed no more. */
  revokeAuthority(fingerprint: Digest, from?: string): Digest {
    const payload = this.registryStatement("authority-revoked", {
      state: "revoked",
      authority: { type: "key", fingerprint },
      ...(from === undefined ? {} : { from }),
    });
    const statement = digestOf(payload);
    this.revocations.set(statement, heldBundle(bundleOf(payload, this.key), undefined));
    return statement;
  }

  /** The next link of what the registry states of itself. */
  registryStatement(kind: "policy" | "authority-revoked", says: Readonly<Record<string, unknown>>): string {
    const sequence = (this.#registryLast?.sequence ?? 0) + 1;
    const payload = registryStatementPayload({
      registry: this.#registry,
      kind,
      subjects: [{ name: kind, digest: digestOf(`${kind} ${sequence}`) }],
      sequence,
      previous: this.#registryLast?.statement ?? null,
      at: this.now,
      actor: "operator",
      reason: "stolen",
      says,
    });
    this.#registryLast = { sequence, statement: digestOf(payload) };
    this.now += MINUTE;
    return payload;
  }

  /** A transition: signed, and with it the first link where that was not yet. */
  move(name: string, state: State, over: Partial<StatementFacts> = {}): void {
    this.#signPending(name);
    this.#add(name, state, over);
    const link = this.chains.get(name)?.links.at(-1);
    if (link === undefined) throw new Error("no such chain");
    this.#sign(name, link);
    if (state === "trusted") this.#unlistLifted(name);
  }

  linksOf(name: string): readonly ToldLink[] {
    return this.chains.get(name)?.links ?? [];
  }

  digestOf(name: string): Digest {
    return this.chains.get(name)?.digest ?? digestOf(name);
  }

  /** The facts of a link that would come next, for who wants to sign another one. */
  factsFor(name: string, state: State, over: Partial<StatementFacts> = {}): StatementFacts {
    const chain = this.chains.get(name);
    if (chain === undefined) throw new Error("no such chain");
    return {
      registry: this.#registry,
      repository: this.repository,
      subject: { sha256: chain.digest, sha512: chain.sha512 },
      state,
      sequence: chain.links.length + 1,
      previous: chain.links.at(-1)?.digest ?? null,
      everywhere: false,
      at: this.now,
      actor: "operator",
      reason: null,
      permanent: false,
      policy: state === "trusted" ? "built-in/closure@1" : null,
      inputs: [],
      ...over,
    };
  }

  /** The snapshot of all chains as they are now, about the artifact of this name. */
  snapshot(about: string, signer = this.key, lifetime = 30 * DAY): HeldStatement {
    const root = this.chains.get(about);
    if (root === undefined || this.#lastKeyStatement === null) throw new Error("no such chain");
    const payload = snapshotPayload({
      registry: this.#registry,
      repository: this.repository,
      subject: { sha256: root.digest, sha512: root.sha512 },
      key: { sequence: this.#keys.length, statement: this.#lastKeyStatement },
      heads: [...this.chains.values()].map(({ digest, links }) => {
        const last = links.at(-1);
        if (last === undefined) throw new Error("no link");
        const summaries = links.flatMap(({ summary }, at) => (summary === undefined ? [] : [{ sequence: at + 1, bundle: summary.bundle }]));
        const permanent = links.some((link) => link.permanent);
        return { artifact: digest, state: last.state, sequence: links.length, statement: last.digest, permanent, summaries };
      }),
      told: { last: this.#registryLast, revokedAuthorities: [...this.revocations.keys()] },
      takenAt: this.now,
      expiresAt: this.now + lifetime,
    });
    return heldBundle(bundleOf(payload, signer), root.digest);
  }

  /** Everything that an export holds. */
  held(about: string): HeldStatement[] {
    const statements = [...this.chains.values()].flatMap(({ digest, links }) =>
      links.flatMap(({ payload, held, summary }) => [
        held ?? heldBundle(new TextEncoder().encode(payload), digest, "payload"),
        ...(summary === undefined ? [] : [summary.held]),
      ]),
    );
    return [...this.keyStatements, ...statements, ...this.revocations.values(), this.snapshot(about)];
  }

  /** As `prove` tells states. */
  states(): Readonly<Record<string, string>> {
    const told = [...this.chains.values()].map(({ digest, links }) => {
      const permanent = links.some((link) => link.permanent) ? " for good" : "";
      return [`${this.repository}@${digest}`, `${links.at(-1)?.state ?? ""} ${links.length}${permanent}`] as const;
    });
    return Object.fromEntries(told.toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  #add(name: string, state: State, over: Partial<StatementFacts>): void {
    const facts = this.factsFor(name, state, over);
    const payload = statementPayload(facts);
    this.chains
      .get(name)
      ?.links.push({ payload, digest: digestOf(payload), state, permanent: facts.permanent, held: undefined, summary: undefined });
    this.now += MINUTE;
  }

  #signPending(name: string): void {
    const last = this.linksOf(name).at(-1);
    if (last !== undefined && last.held === undefined) this.#sign(name, last);
  }

  #sign(name: string, link: ToldLink): void {
    const digest = this.digestOf(name);
    link.held = heldBundle(bundleOf(link.payload, this.key), digest);
    const summary = summaryOf(link.payload, digest);
    if (summary === undefined) return;
    const bytes = bundleOf(summary.payload, this.key);
    const result = summary.label.annotations["dev.ai-model-registry.verification.result"] ?? "";
    link.summary = { held: heldBundle(bytes, digest), bundle: digestOf(bytes), result };
  }

  #unlistLifted(name: string): void {
    for (const { summary, state, permanent } of this.linksOf(name)) {
      if (summary !== undefined && state === "revoked" && !permanent) summary.held = { ...summary.held, subject: undefined };
    }
  }
}
