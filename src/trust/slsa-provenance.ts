import { z } from "zod";
import { MAX_EVIDENCE_BYTES, isBundleLike, parseEvidence } from "./bundle.ts";
import { isEnvelope, isSimpleSigning } from "./cosign-legacy.ts";
import { checkSubject, readStatement } from "./in-toto.ts";
import { isJws } from "./notation-envelope.ts";
import { Refusal } from "./reason.ts";
import type { Subject } from "./subject.ts";

/** What an SLSA provenance says: who built something, by which kind of build, and of what. Texts are as they were written, cut. */
export interface Provenance {
  readonly builder: string | undefined;
  readonly buildType: string | undefined;
  readonly sources: readonly { readonly uri: string; readonly digest: string | undefined }[];
}

/** Begins the predicate types of all versions. */
const PREDICATE = "https://slsa.dev/provenance/";
const MAX_SOURCES = 16;
const MAX_TEXT = 512;

const text = z.string().transform((value) => value.slice(0, MAX_TEXT).toWellFormed());
const envelopeSchema = z.looseObject({ payloadType: z.string(), payload: z.base64().max(2 * MAX_EVIDENCE_BYTES) });
const dependency = z.looseObject({ uri: text.optional(), name: text.optional(), digest: z.record(z.string(), z.string()).optional() });
const builder = z.looseObject({ id: text });
const dependencies = z.array(dependency).max(10_000).nullish();
const versionOne = z.looseObject({
  buildDefinition: z.looseObject({ buildType: text.optional(), resolvedDependencies: dependencies }),
  runDetails: z.looseObject({ builder: builder.optional() }).optional(),
});
/** Version 0.2, which many builders still write. */
const versionBefore = z.looseObject({ builder, buildType: text.optional(), materials: dependencies });

/**
 * Reads the SLSA provenance of an artifact out of a Sigstore bundle or a DSSE envelope, of version 1 or 0.2. It verifies nothing: who signed
 * it, if anybody did, is another question. Undefined for all else, and for one of another artifact.
 */
export function readProvenance(bytes: Uint8Array, subject: Subject): Provenance | undefined {
  try {
    const envelope = envelopeSchema.safeParse(envelopeIn(parseEvidence(bytes)));
    if (!envelope.success) return undefined;
    const { payloadType, payload } = envelope.data;
    const statement = readStatement({ payloadType, payload: Buffer.from(payload, "base64") });
    checkSubject(statement, subject);
    return statement.predicateType.startsWith(PREDICATE) ? provenanceIn(statement.predicate) : undefined;
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}

/** That which a signature is over, by the same look at the form as a verification takes: others could stand beside it, signed by nobody. */
function envelopeIn(value: Readonly<Record<string, unknown>>): unknown {
  if (isBundleLike(value)) return Object.hasOwn(value, "messageSignature") ? undefined : value["dsseEnvelope"];
  return isJws(value) || isSimpleSigning(value) || !isEnvelope(value) ? undefined : value;
}

function provenanceIn(predicate: unknown): Provenance | undefined {
  const one = versionOne.safeParse(predicate).data;
  if (one !== undefined) {
    const { buildType, resolvedDependencies } = one.buildDefinition;
    return { builder: one.runDetails?.builder?.id, buildType, sources: sourcesIn(resolvedDependencies) };
  }
  const before = versionBefore.safeParse(predicate).data;
  return before && { builder: before.builder.id, buildType: before.buildType, sources: sourcesIn(before.materials) };
}

function sourcesIn(all: z.infer<typeof dependencies>): Provenance["sources"] {
  const sources = (all ?? []).flatMap(({ uri, name, digest = {} }) => {
    const named = uri ?? name;
    const [algorithm, hex] = Object.entries(digest)[0] ?? [];
    return named === undefined ? [] : [{ uri: named, digest: hex === undefined ? undefined : `${algorithm}:${hex}`.slice(0, MAX_TEXT) }];
  });
  return sources.slice(0, MAX_SOURCES);
}
