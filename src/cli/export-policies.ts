import { z } from "zod";
import { policyView } from "../api/policies.ts";
import { canonicalJson } from "../oci/canonical-json.ts";
import { type Digest, digestOf, digestSchema } from "../oci/digest.ts";
import { OCI_EMPTY, OCI_IMAGE } from "../oci/media-types.ts";
import { recordedDecision } from "../policy/recorded-decision.ts";
import type { ArtifactRef } from "./artifact-ref.ts";
import { type NativeClient, artifactPath } from "./client.ts";
import type { ExportContent } from "./export-content.ts";
import { CliError, EXIT } from "./failure.ts";

/** The type of the manifest that holds what a promotion rested on. */
export const GROUNDS = "application/vnd.ai-model-registry.promotion-grounds.v1+json";
const POLICY = "application/vnd.ai-model-registry.policy.v1+json";
/** The type of the decision in it. */
export const DECISION = "application/vnd.ai-model-registry.decision.v1+json";
/** `{}` */
const EMPTY_CONFIG = Buffer.of(0x7b, 0x7d);

/** Of so many promotions of an artifact, the last ones, a layout holds what they rested on. */
export const MAX_PROMOTIONS = 100;

/** A decision as the registry shows it: its digest is over all the rest, to the letter, so that nothing is left out or filled in here. */
const shownDecision = z.looseObject({ digest: digestSchema }).refine((shown) => recordedDecision.safeParse(shown).success);

/** What promotions rested on, as layouts hold it. */
export class Grounds {
  readonly #native: NativeClient;
  /** Documents that were asked for already, by name and version. */
  readonly #known = new Map<string, string>();

  constructor(native: NativeClient) {
    this.#native = native;
  }

  /**
   * Adds what promotions of an artifact rested on and the registry shows, by their decisions: these, and the written policies, each by the
   * digest that the statement of the promotion names. Readers are shown a decision without what is hidden from them; that has another digest,
   * and stays out.
   */
  async add(ref: ArtifactRef, decisions: readonly Digest[], content: ExportContent): Promise<void> {
    const last = new Set(decisions.slice(-MAX_PROMOTIONS));
    for (const digest of last) {
      const decision = await this.#decision(ref, digest);
      if (decision !== undefined) await this.#addOne(decision, content);
    }
  }

  async #addOne(decision: z.infer<typeof shownDecision>, content: ExportContent): Promise<void> {
    const documents: { readonly mediaType: string; readonly bytes: Buffer }[] = [];
    const { digest, ...said } = decision;
    const text = canonicalJson(said);
    if (digestOf(text) === digest) documents.push({ mediaType: DECISION, bytes: Buffer.from(text) });
    for (const { name, version, digest: wanted } of recordedDecision.parse(said).policies) {
      const policy = await this.#policy(name, version);
      if (digestOf(policy) === wanted) documents.push({ mediaType: POLICY, bytes: Buffer.from(policy) });
    }
    if (documents.length === 0) return;
    const layers = documents.map(({ mediaType, bytes }) => ({ mediaType, digest: digestOf(bytes), size: bytes.length }));
    const config = { mediaType: OCI_EMPTY, digest: digestOf(EMPTY_CONFIG), size: EMPTY_CONFIG.length };
    const manifest = canonicalJson({ schemaVersion: 2, mediaType: OCI_IMAGE, artifactType: GROUNDS, config, layers });
    await content.addMade(Buffer.from(manifest), [EMPTY_CONFIG, ...documents.map(({ bytes }) => bytes)]);
  }

  /** Undefined where the registry has no record of it any more. */
  async #decision(ref: ArtifactRef, digest: Digest): Promise<z.infer<typeof shownDecision> | undefined> {
    try {
      return await this.#native.request({ method: "GET", path: artifactPath(ref, "decision"), query: { digest } }, shownDecision);
    } catch (error) {
      if (error instanceof CliError && error.exit === EXIT.notFound) return undefined;
      throw error;
    }
  }

  async #policy(name: string, version: number): Promise<string> {
    const key = `${name}@${version}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const path = `/v1/policies/${encodeURIComponent(name)}`;
    const { document } = await this.#native.request({ method: "GET", path, query: { version } }, policyView);
    const policy = canonicalJson(document);
    this.#known.set(key, policy);
    return policy;
  }
}
