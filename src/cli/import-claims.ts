import { publicKeyList } from "../api/keys.ts";
import { type HeldStatement, openStatement } from "../lifecycle/proof-bundle.ts";
import { claimantOf } from "../lifecycle/proof-strangers.ts";
import { SNAPSHOT_PREDICATE } from "../lifecycle/snapshot.ts";
import { canonicalJson } from "../oci/canonical-json.ts";
import type { Descriptor } from "../oci/descriptor.ts";
import { digestOf } from "../oci/digest.ts";
import type { NativeClient } from "./client.ts";
import type { ImportPlan } from "./import-plan.ts";
import type { LayoutManifest } from "./layout-manifests.ts";
import type { Layout } from "./layout.ts";
import { MAX_STATEMENT_BYTES } from "./statement-layers.ts";

/** What the registry was called by its own statements about its keys. */
export async function registryNames(native: NativeClient): Promise<ReadonlySet<string>> {
  const { keys } = await native.request({ method: "GET", path: "/v1/keys" }, publicKeyList);
  const bundles = keys.flatMap(({ purpose, statement }) =>
    purpose === "attestation" && statement !== undefined ? [canonicalJson(statement)] : [],
  );
  return new Set(bundles.flatMap((bundle) => claimIn(Buffer.from(bundle), "bundle")?.registry ?? []));
}

/**
 * The plan without attachments that would make later exports of this registry worthless: snapshots, of which an export has one, and what
 * claims to be a statement of this registry (RULES 28). Those that it made itself it has.
 */
export async function withoutClaims(layout: Layout, plan: ImportPlan, names: ReadonlySet<string>): Promise<ImportPlan> {
  const claims = new Claims(layout, names);
  const gone = new Map<LayoutManifest, string>();
  for (const manifest of plan.attached) {
    const because = await claims.whyNot(manifest);
    if (because !== undefined) gone.set(manifest, because);
  }
  const attached = plan.attached.filter((manifest) => !gone.has(manifest));
  const needed = new Set([...plan.content, ...attached].flatMap(({ blobs }) => blobs.map(({ digest }) => digest)));
  return {
    ...plan,
    attached,
    tags: plan.tags.filter(({ manifest }) => !gone.has(manifest)),
    blobs: plan.blobs.filter(({ digest }) => needed.has(digest)),
    leftOut: [...plan.leftOut, ...[...gone].map(([{ descriptor }, because]) => ({ digest: descriptor.digest, because }))],
  };
}

/** Looks at what attachments claim; each layer is read once, however many name it. */
class Claims {
  readonly #layout: Layout;
  readonly #names: ReadonlySet<string>;
  readonly #known = new Map<string, Claim | undefined>();

  constructor(layout: Layout, names: ReadonlySet<string>) {
    this.#layout = layout;
    this.#names = names;
  }

  async whyNot({ statements }: LayoutManifest): Promise<string | undefined> {
    for (const { layer, form } of statements) {
      const claim = await this.#claim(layer, form);
      if (claim?.isSnapshot === true) return "it is a snapshot, which says something of that layout alone";
      if (claim?.registry !== undefined && this.#names.has(claim.registry)) return "it claims to be a statement of this registry";
    }
    return undefined;
  }

  async #claim(layer: Descriptor, form: HeldStatement["form"]): Promise<Claim | undefined> {
    const key = `${form} ${layer.digest}`;
    if (!this.#known.has(key)) this.#known.set(key, claimIn(await this.#layout.read(layer, MAX_STATEMENT_BYTES), form));
    return this.#known.get(key);
  }
}

interface Claim {
  readonly isSnapshot: boolean;
  readonly registry: string | undefined;
}

function claimIn(bytes: Buffer, form: HeldStatement["form"]): Claim | undefined {
  const statement = openStatement({ manifest: digestOf(bytes), subject: undefined, form, bytes });
  return statement && { isSnapshot: statement.predicateType === SNAPSHOT_PREDICATE, registry: claimantOf(statement) };
}
