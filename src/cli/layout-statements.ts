import { type HeldStatement, openStatement } from "../lifecycle/proof-bundle.ts";
import { claimantOf } from "../lifecycle/proof-strangers.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { type Digest, digestOf } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { MAX_MANIFEST_BYTES, type Manifest, parseManifest } from "../oci/manifest.ts";
import { LayoutError } from "./layout-error.ts";
import type { Layout } from "./layout.ts";
import { MAX_STATEMENT_BYTES, heldIn, statementLayers } from "./statement-layers.ts";

/** Bytes of all statements together that are read. */
const MAX_ALL_BYTES = 512 * 1_048_576;

/** A manifest that the index names, as far as it matters afterwards. */
interface ListedManifest {
  readonly descriptor: Descriptor;
  readonly subject: Digest | undefined;
  readonly artifactType: string | undefined;
  /** Does it hold a statement of a kind that registries make? Signatures and attestations of others are bundles as well. */
  readonly holdsStatement: boolean;
}

/** What the index of a layout leads to. */
export interface ListedContent {
  /** By sha256, whatever name the index has for them. */
  readonly manifests: ReadonlyMap<Digest, ListedManifest>;
  readonly held: readonly HeldStatement[];
  readonly faults: readonly LayoutError[];
}

/** Reads the manifests that the index of a layout names, and takes out of them what may be statements. What cannot be read is a fault. */
export async function readListed(layout: Layout): Promise<ListedContent> {
  const manifests = new Map<Digest, ListedManifest>();
  const held: HeldStatement[] = [];
  const faults: LayoutError[] = [];
  let bytes = 0;
  for (const descriptor of layout.entries) {
    try {
      const read = await readManifest(layout, descriptor);
      const found = await statementsOf(layout, read, descriptor.digest);
      bytes += found.reduce((sum, each) => sum + each.bytes.length, 0);
      if (bytes > MAX_ALL_BYTES) throw new LayoutError("layout-too-large", `its statements have more than ${MAX_ALL_BYTES} bytes`);
      held.push(...found);
      const { subject, artifactType } = read.manifest;
      manifests.set(read.digest, { descriptor, subject: subject?.digest, artifactType, holdsStatement: found.some(isOfRegistry) });
    } catch (error) {
      if (!(error instanceof LayoutError)) throw error;
      faults.push(error);
      if (error.code === "layout-too-large") break;
    }
  }
  return { manifests, held, faults };
}

/** A manifest of a layout, held to its digest, with its bytes and its sha256. Throws `LayoutError`. */
export async function readManifest(
  layout: Layout,
  descriptor: Pick<Descriptor, "digest" | "size" | "mediaType">,
): Promise<{ readonly manifest: Manifest; readonly digest: Digest; readonly bytes: Buffer }> {
  const bytes = await layout.read(descriptor, MAX_MANIFEST_BYTES);
  try {
    return { manifest: parseManifest(bytes, descriptor.mediaType), digest: digestOf(bytes), bytes };
  } catch (error) {
    if (error instanceof RegistryError) throw new LayoutError("layout-invalid", `${descriptor.digest}: ${error.message}`, error);
    throw error;
  }
}

function isOfRegistry(held: HeldStatement): boolean {
  const statement = openStatement(held);
  return statement !== undefined && claimantOf(statement) !== undefined;
}

async function statementsOf(
  layout: Layout,
  { manifest }: { readonly manifest: Manifest },
  digest: Digest,
): Promise<readonly HeldStatement[]> {
  const held: HeldStatement[] = [];
  for (const { layer, form } of statementLayers(manifest)) {
    held.push(heldIn(manifest, digest, form, await layout.read(layer, MAX_STATEMENT_BYTES)));
  }
  return held;
}
