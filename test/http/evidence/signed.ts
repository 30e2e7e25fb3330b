import type { SerializedBundle } from "@sigstore/bundle";
import type { Signer, Witness } from "@sigstore/sign";
import { COSIGN_SIGN } from "../../../src/trust/signed-claim.ts";
import { BUNDLE_TYPE, type BundleJson, HEX, type Layer, MODEL, changed, keyAuthority, workflowAuthority } from "../../trust/evidence.ts";
import { dsseBundle, keySigner, messageBundle, statement } from "../../trust/sigstore-instance.ts";
import type { Demand, Instances, Row } from "./world.ts";

/** A key that demands name, and one that none does. */
export const KEY = keySigner();
export const STRANGER = keySigner();

/** A bundle as a layer. */
export const layerOf = (bundle: unknown): Layer => ({ bytes: Buffer.from(JSON.stringify(bundle)), mediaType: BUNDLE_TYPE });
export const jsonLayer = (value: unknown): Layer => ({ bytes: Buffer.from(JSON.stringify(value)) });

/** cosign's signature: a statement about the artifact, or about another one. */
export const dsse = (signer: Signer, witnesses: readonly Witness[] = [], hex = HEX): Promise<SerializedBundle> =>
  dsseBundle(signer, statement(hex, COSIGN_SIGN), witnesses);
export const message = (signer: Signer, witnesses: readonly Witness[] = [], bytes = MODEL.bytes): Promise<SerializedBundle> =>
  messageBundle(signer, bytes, witnesses);

/** Who demands a signature by the key, without more. */
export const byKey =
  (wish: object = {}, more: Partial<Demand> = {}) =>
  (): Demand => ({ authorities: [keyAuthority([KEY.pem], wish)], ...more });
/** Who demands one by the workflow, in the log and timestamped by it. */
export const byWorkflow =
  (wish: object = {}, more: Partial<Demand> = {}) =>
  (): Demand => ({ authorities: [workflowAuthority(wish)], ...more });

/** What meets these two. */
export const keySigned = async (): Promise<Layer> => layerOf(await dsse(KEY));
export const workflowSigned = async ({ corp }: Instances): Promise<Layer> =>
  layerOf(await dsse(await corp.identitySigner(), [corp.logged(), corp.timestamped()]));

/** A row in short: all rows of a table share what is demanded and what meets it. */
export type Short = readonly [what: string, code: Row["code"], evidence: (instances: Instances) => Promise<object>];

/** A row whose evidence is one bundle. */
export function bundleRow([what, code, evidence]: Short, demand: Row["demand"], good: Row["good"]): Row {
  return { what, code, demand, evidence: async (instances) => layerOf(await evidence(instances)), good };
}

/** The signature of the workflow, logged, with a certificate as wished. */
export async function certified(
  { corp }: Instances,
  wish: Parameters<Instances["corp"]["certificate"]>[0] = {},
): Promise<SerializedBundle> {
  return dsse(await corp.identitySigner(wish), [corp.logged()]);
}

/** A bundle with something changed after it was signed. */
export async function tampered(bundle: Promise<SerializedBundle>, change: (copy: BundleJson) => unknown): Promise<BundleJson> {
  const copy = changed(await bundle, () => undefined);
  await change(copy);
  return copy;
}

type Entry = BundleJson["verificationMaterial"]["tlogEntries"][number];
/** The same, of its log entries. */
export function tamperedEntry(bundle: Promise<SerializedBundle>, change: (entry: Entry) => object): Promise<BundleJson> {
  return tampered(bundle, ({ verificationMaterial }) => {
    verificationMaterial.tlogEntries = verificationMaterial.tlogEntries.map((entry) => ({ ...entry, ...change(entry) }));
  });
}
