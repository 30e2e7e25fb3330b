import { BUNDLE_V01_MEDIA_TYPE, BUNDLE_V02_MEDIA_TYPE, type SerializedBundle } from "@sigstore/bundle";
import type { Signer, Witness } from "@sigstore/sign";
import { OCI_IMAGE } from "../../src/oci/media-types.ts";
import { type Authority, authoritySchema } from "../../src/trust/authority.ts";
import { candidatesOf } from "../../src/trust/candidate.ts";
import { COSIGN_SIGN } from "../../src/trust/signed-claim.ts";
import { type Subject, subjectOf } from "../../src/trust/subject.ts";
import type { TrustRoot } from "../../src/trust/trust-root.ts";
import type { Verdict, Verified } from "../../src/trust/verdict.ts";
import { verifyCandidate } from "../../src/trust/verify.ts";
import {
  type BundleJson,
  EMPTY_ROOT,
  HEX,
  type Layer,
  MODEL,
  SUBJECT,
  changed,
  grounds,
  keyAuthority,
  manifestWith,
  workflowAuthority,
} from "./evidence.ts";
import { LAYERS, certificateBundle, fileList } from "./file-lists.ts";
import { attestationLayer, signatureLayer } from "./legacy-layers.ts";
import { ENVELOPES, NOTARY_ROOT, holder } from "./notation-envelopes.ts";
import { SigstoreInstance, dsseBundle, keySigner, messageBundle, statement, wholeSecond } from "./sigstore-instance.ts";

/** Evidence that counts, and who for. */
export interface Sample {
  readonly layer: Layer;
  readonly authority: Authority;
  readonly root: TrustRoot;
  readonly subject: Subject;
  readonly verified: Verified;
}

/** Who signs samples: a workflow, with the proofs of either version of the log. */
interface Signing {
  readonly root: TrustRoot;
  readonly workflow: Signer;
  readonly first: readonly Witness[];
  readonly second: readonly Witness[];
}

const CLOCK = wholeSecond();
const KEY = keySigner();
const ABOUT = statement(HEX, COSIGN_SIGN);
const FILES = subjectOf(manifestWith(LAYERS).bytes, OCI_IMAGE);
const BY_KEY = keyAuthority([KEY.pem]);
/** All proofs of a sample are asked for, so that each of them matters. */
const BY_WORKFLOW = workflowAuthority({ timestamps: 2 });
const BY_HOLDER = authoritySchema.parse({
  type: "x509",
  name: "holders",
  roots: [NOTARY_ROOT.pem],
  identities: [{ subject: { CN: "release", O: "Corp" } }],
});
const [JWS, COSE] = ENVELOPES;

type Made = readonly [authority: Authority, layer: Layer, subject?: Subject];
const layerOf = (bundle: unknown): Layer => ({ bytes: Buffer.from(JSON.stringify(bundle)) });

/** Good evidence of every kind that is read. */
const KINDS: Readonly<Record<string, (signing: Signing) => Promise<Made>>> = {
  "a statement by a key": async () => [BY_KEY, layerOf(await dsseBundle(KEY, ABOUT))],
  "a signature by a key": async () => [BY_KEY, layerOf(await messageBundle(KEY, MODEL.bytes))],
  "a statement by an identity": async ({ workflow, first }) => [BY_WORKFLOW, layerOf(await dsseBundle(workflow, ABOUT, first))],
  "a statement by an identity in version 0.2": async ({ workflow, first }) => [
    BY_WORKFLOW,
    layerOf(chained(await dsseBundle(workflow, ABOUT, first), BUNDLE_V02_MEDIA_TYPE)),
  ],
  "a statement by an identity in version 0.1": async ({ workflow, first }) => [
    BY_WORKFLOW,
    layerOf(chained(await dsseBundle(workflow, ABOUT, first), BUNDLE_V01_MEDIA_TYPE)),
  ],
  "a statement by an identity in the newer log": async ({ workflow, second }) => [
    workflowAuthority(),
    layerOf(await dsseBundle(workflow, ABOUT, second)),
  ],
  "a signature by an identity": async ({ workflow, first }) => [BY_WORKFLOW, layerOf(await messageBundle(workflow, MODEL.bytes, first))],
  "an older signature by a key": async () => [BY_KEY, await signatureLayer(KEY)],
  "an older signature by an identity": async ({ workflow, first }) => [BY_WORKFLOW, await signatureLayer(workflow, undefined, first)],
  "an older attestation by an identity": async ({ workflow, first }) => [BY_WORKFLOW, await attestationLayer(workflow, ABOUT, first)],
  "a list of files by a key": async () => [BY_KEY, layerOf(await dsseBundle(KEY, fileList())), FILES],
  "a list of files by a certificate": async () => [BY_HOLDER, layerOf(certificateBundle([holder, NOTARY_ROOT], fileList())), FILES],
  "a list of files by an identity": async ({ workflow, first }) => [
    BY_WORKFLOW,
    layerOf(await dsseBundle(workflow, fileList(), first)),
    FILES,
  ],
  "a Notation signature in JSON": async () => [BY_HOLDER, { bytes: await JWS[2](), mediaType: JWS[1] }],
  "a Notation signature in CBOR": async () => [BY_HOLDER, { bytes: await COSE[2](), mediaType: COSE[1] }],
};
export const SAMPLE_NAMES = Object.keys(KINDS);

/** A sample of each kind, by its name. */
export async function samples(): Promise<ReadonlyMap<string, Sample>> {
  const corp = await SigstoreInstance.start({ clock: CLOCK });
  const signing = {
    root: corp.trustRoot,
    workflow: await corp.identitySigner(),
    first: [corp.logged("v1"), corp.timestamped()],
    second: [corp.logged("v2"), corp.timestamped()],
  };
  const made = new Map<string, Sample>();
  for (const [name, make] of Object.entries(KINDS)) {
    const [authority, layer, subject = SUBJECT] = await make(signing);
    const bare = { layer, authority, root: authority.type === "keyless" ? signing.root : EMPTY_ROOT, subject };
    const verdict = verdictOn(layer, bare);
    if (verdict?.ok !== true) throw new Error(`${name} does not count: ${verdict?.code ?? "no candidate"}`);
    made.set(name, { ...bare, verified: verdict });
  }
  return made;
}

/** The sample of a name. */
export function sampleNamed(all: ReadonlyMap<string, Sample>, name: string): Sample {
  const sample = all.get(name);
  if (sample === undefined) throw new Error(`there is no sample ${name}`);
  return sample;
}

/** The verdict on a layer in the place of a sample's; undefined when it is no candidate. */
export function verdictOn(layer: Layer, { authority, root, subject }: Omit<Sample, "verified">): Verdict | undefined {
  const [candidate] = candidatesOf(manifestWith([layer])).candidates;
  return candidate && verifyCandidate(candidate, authority, grounds(CLOCK, root, subject));
}

/** The same in an older version of the bundle, which has a chain where the newest has one certificate. */
function chained(bundle: SerializedBundle, mediaType: string): BundleJson {
  return changed(bundle, (copy) => {
    const { certificate } = copy.verificationMaterial;
    delete copy.verificationMaterial.certificate;
    copy.verificationMaterial.x509CertificateChain = { certificates: [{ rawBytes: certificate?.rawBytes ?? "" }] };
    copy.mediaType = mediaType;
  });
}
