import { canonicalJson } from "../../src/oci/canonical-json.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { parseManifest } from "../../src/oci/manifest.ts";
import { OCI_IMAGE } from "../../src/oci/media-types.ts";
import type { RepositoryName } from "../../src/oci/reference.ts";
import { newManifestRows, referrerRow, servedReferrerKey } from "../../src/registry/manifest-rows.ts";
import { publishOwnBlobs } from "../../src/registry/own-blobs.ts";
import { addStatements, rootsOf } from "../../src/registry/reach.ts";
import { SIGN_STATEMENTS } from "../../src/registry/unsigned-statements.ts";
import { type Content, keys } from "../../src/storage/keys.ts";
import type { Put } from "../../src/storage/metadata-store.ts";
import { type ManifestRecord, manifestRecord, statementRecord } from "../../src/storage/records.ts";
import { type WrittenStatement, writtenStatements } from "./signed-statements.ts";
import type { Transitions } from "./transitions.ts";

/** Blobs go with the next collection. */
const BLOBS = new Set([keys.blobs()[0], keys.blobContents()[0]]);
const EVERYTHING = { start: ["a"], end: ["z"], limit: 1_000_000 } as const;

/**
 * Makes a store one of the version before signatures: every statement of an artifact is a manifest of the type
 * `application/vnd.ai-model-registry.lifecycle.v1+json` over the bare payload, with the rows that that version wrote, and nothing
 * remains of the signed one or of summaries. The unsigned manifests, by their sequence.
 */
export async function unsign(at: Transitions, repository: RepositoryName, artifact: Digest): Promise<ReadonlyMap<number, Digest>> {
  const { services } = at;
  const unsigned = new Map<number, Digest>();
  const signed = await writtenStatements(at, repository, artifact);
  const put: Put[] = [];
  for (const link of signed) {
    const made = await unsignedRows(at, repository, { artifact, link });
    unsigned.set(link.sequence, made.manifest);
    put.push(...made.put);
  }
  const gone = new Set<unknown>(signed.flatMap(({ manifest, bundle, summary }) => [manifest, bundle, summary?.manifest, summary?.bundle]));
  const rows = await services.metadata.list(EVERYTHING);
  const remove = rows.filter(({ key }) => !BLOBS.has(key[0]) && key.some((part) => gone.has(part))).map(({ key }) => key);
  await services.metadata.commit({
    expect: [],
    put,
    remove: [...remove, keys.job(SIGN_STATEMENTS)],
    audit: [{ id: services.newId(), time: 0, type: "test.unsign", actor: { principal: "test", kind: "system" }, outcome: "allow" }],
  });
  return unsigned;
}

async function unsignedRows(
  { services }: Transitions,
  repository: RepositoryName,
  { artifact, link }: { readonly artifact: Digest; readonly link: WrittenStatement },
): Promise<{ readonly manifest: Digest; readonly put: readonly Put[] }> {
  const { metadata } = services;
  const statement = manifestRecord.parse((await metadata.get(keys.manifest(repository, link.manifest)))?.value);
  const content = (await metadata.get(keys.manifestContent(repository, link.manifest)))?.value as Uint8Array;
  const signed = JSON.parse(new TextDecoder().decode(content)) as {
    config: object;
    subject: object;
    annotations: Readonly<Record<string, string>>;
  };
  const annotations = Object.fromEntries(Object.entries(signed.annotations).filter(([name]) => !name.startsWith("dev.sigstore.")));
  const bytes = new TextEncoder().encode(
    canonicalJson({
      schemaVersion: 2,
      mediaType: OCI_IMAGE,
      artifactType: "application/vnd.ai-model-registry.lifecycle.v1+json",
      config: signed.config,
      layers: [{ mediaType: "application/vnd.in-toto+json", digest: digestOf(link.payload), size: Buffer.byteLength(link.payload) }],
      subject: signed.subject,
      annotations,
    }),
  );
  const digest = digestOf(bytes);
  const manifest = parseManifest(bytes, undefined);
  const record: ManifestRecord = {
    ...statement,
    digest,
    sha512: digestOf(bytes, "sha512"),
    names: [digest],
    artifactType: manifest.artifactType ?? null,
    size: bytes.byteLength,
  };
  const contents: readonly Content[] = [
    { kind: "manifest", digest },
    { kind: "blob", digest: digestOf(link.payload) },
  ];
  const roots = await rootsOf(services, repository, link.manifest);
  const blobs = await publishOwnBlobs(services, repository, [Buffer.from(link.payload)]);
  const referrer = referrerRow({ repository, record, manifest });
  const row = keys.statement(repository, artifact, link.sequence);
  const { bundle: _bundle, summary: _summary, ...plain } = statementRecord.parse((await metadata.get(row))?.value);
  return {
    manifest: digest,
    put: [
      ...blobs.put,
      ...newManifestRows({ repository, record, manifest }, bytes, new Set()),
      ...(referrer === undefined ? [] : [{ key: servedReferrerKey(referrer.key), value: referrer.value }]),
      ...[...roots].flatMap((root) => addStatements(repository, root, contents).put),
      { key: row, value: { ...plain, manifest: digest } },
    ],
  };
}
