import { type KeyObject, createHash } from "node:crypto";
import { readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { canonicalJson } from "../src/oci/canonical-json.ts";
import type { Held, LayoutCopy } from "./layout-copy.ts";

const OWN = "https://ai-model-registry.dev/attestations";
const LIFECYCLE = `${OWN}/lifecycle/v1`;
const AUTHORITY_REVOKED = `${OWN}/authority-revoked/v1`;
const SNAPSHOT = `${OWN}/trust-snapshot/v1`;
const PREDICATE = "dev.sigstore.bundle.predicateType";
const STATE = "dev.ai-model-registry.lifecycle.state";
const SEQUENCE = "dev.ai-model-registry.lifecycle.seq";
const RESULT = "dev.ai-model-registry.verification.result";
const KEY_SEQUENCE = "dev.ai-model-registry.signing-key.seq";

/** What whoever attacks a layout has at hand. */
export interface AttackKit {
  /** The registry's own key, as if it were stolen, or the registry dishonest. */
  readonly stolen: KeyObject;
  /** Anybody's key. */
  readonly stranger: KeyObject;
  /** The same artifact, exported before its last transition. */
  readonly earlier: LayoutCopy;
  readonly weights: string;
  readonly child: string;
}

/** A change of a layout, and the reason codes of which one must be told for it; none where it must have no effect. */
export interface Attack {
  readonly title: string;
  readonly codes: readonly string[];
  readonly act: (layout: LayoutCopy, kit: AttackKit) => Promise<void>;
}

const statementSchema = z.looseObject({ predicateType: z.string(), predicate: z.looseObject({}) });
type Statement = z.infer<typeof statementSchema>;

function said({ payload }: Held): Statement {
  return statementSchema.parse(JSON.parse(payload));
}

/** The link of the artifact's chain at a place. */
async function link(layout: LayoutCopy, sequence: number): Promise<Held> {
  const found = (await layout.statements()).find((held) => {
    const { predicateType, predicate } = said(held);
    return predicateType === LIFECYCLE && predicate["seq"] === sequence;
  });
  if (found === undefined) throw new Error(`there is no statement ${sequence}`);
  return found;
}

async function snapshot(layout: LayoutCopy): Promise<Held> {
  const found = (await layout.statements()).find((held) => said(held).predicateType === SNAPSHOT);
  if (found === undefined) throw new Error("there is no snapshot");
  return found;
}

function changed(held: Held, predicate: object): string {
  const statement = said(held);
  return canonicalJson({ ...statement, predicate: { ...statement.predicate, ...predicate } });
}

function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** Writes the snapshot anew, with the registry's key, after something was changed in what it says of the artifact. */
async function signSnapshot(layout: LayoutCopy, { stolen }: AttackKit, change: (head: object) => object): Promise<void> {
  const held = await snapshot(layout);
  const artifact = held.manifest.subject?.digest ?? "";
  const { subjects } = z.object({ subjects: z.record(z.string(), z.looseObject({})) }).parse(said(held).predicate);
  const next = Object.entries(subjects).map(([name, head]) => [name, name.endsWith(artifact) ? change(head) : head] as const);
  await layout.drop(held.entry);
  await layout.attach(changed(held, { subjects: Object.fromEntries(next) }), stolen, held);
}

/** Every attack of which the design says that it fails (hidden, reordered, forged, forked, moved, out of date, damaged). */
export const ATTACKS: readonly Attack[] = [
  {
    title: "a revocation in the middle of the history is hidden",
    codes: ["statement-missing"],
    act: async (layout) => layout.drop((await link(layout, 3)).entry),
  },
  {
    title: "the last statement is hidden",
    codes: ["statement-missing"],
    act: async (layout) => layout.drop((await link(layout, 6)).entry),
  },
  {
    title: "the whole chain of a part is hidden",
    codes: ["chain-missing"],
    act: async (layout, { child }) => {
      for (const entry of await layout.entries()) {
        const { subject, annotations } = await layout.manifest(entry);
        if (subject?.digest === child && annotations[STATE] !== undefined) await layout.drop(entry);
      }
    },
  },
  {
    title: "the unlisted summary of a lifted revocation is withheld",
    codes: ["summary-missing"],
    act: async (layout) => layout.drop(await layout.annotated(RESULT, "FAILED")),
  },
  {
    title: "the snapshot is withheld",
    codes: ["snapshot-missing"],
    act: async (layout) => layout.drop((await snapshot(layout)).entry),
  },
  {
    title: "the change of the signing key is withheld",
    codes: ["key-chain-broken"],
    act: async (layout) => layout.drop(await layout.annotated(KEY_SEQUENCE, "2")),
  },
  {
    title: "the revocation of a publisher is withheld",
    codes: ["authority-missing"],
    act: async (layout) => layout.drop(await layout.annotated(PREDICATE, AUTHORITY_REVOKED)),
  },
  {
    title: "a publisher is revoked by somebody else's key",
    codes: ["forged"],
    act: async (layout, { stranger }) => {
      const held = (await layout.statements()).find((each) => said(each).predicateType === AUTHORITY_REVOKED);
      if (held === undefined) throw new Error("nobody is revoked");
      await layout.drop(held.entry);
      await layout.attach(held.payload, stranger, await snapshot(layout));
    },
  },
  {
    title: "an older snapshot takes the place of the newer one",
    codes: ["statement-unexpected"],
    act: async (layout, { earlier }) => {
      const [now, then] = [await snapshot(layout), await snapshot(earlier)];
      await layout.drop(now.entry);
      for (const digest of [then.entry.digest, ...then.manifest.layers.map((layer) => layer.digest)]) {
        await writeFile(layout.pathOf(digest), await readFile(earlier.pathOf(digest)));
      }
      await layout.writeEntries([...(await layout.entries()), then.entry]);
    },
  },
  {
    title: "a look-alike with the right annotations is attached, signed with another key",
    codes: ["forged"],
    act: async (layout, { stranger }) => {
      const last = await link(layout, 6);
      await layout.attach(changed(last, { seq: 7, prev: { sha256: digestOf(last.payload) } }), stranger, last);
    },
  },
  {
    title: "a statement is signed anew with another key",
    codes: ["forged"],
    act: async (layout, { stranger }) => {
      const revoked = await link(layout, 3);
      await layout.drop(revoked.entry);
      await layout.attach(revoked.payload, stranger, revoked);
    },
  },
  {
    title: "a statement says something else under its old signature",
    codes: ["forged", "statement-missing"],
    act: async (layout, { stranger }) => {
      const revoked = await link(layout, 3);
      await layout.drop(revoked.entry);
      await layout.attach(changed(revoked, { reason: "a mistake" }), stranger, revoked);
    },
  },
  {
    title: "two statements that the registry signed claim one place",
    codes: ["chain-forked"],
    act: async (layout, { stolen }) => {
      const revoked = await link(layout, 3);
      await layout.attach(changed(revoked, { reason: "a mistake" }), stolen, revoked);
    },
  },
  {
    title: "the registry signed a statement that the snapshot does not name",
    codes: ["statement-unexpected"],
    act: async (layout, { stolen }) => {
      const last = await link(layout, 6);
      await layout.attach(changed(last, { seq: 7, prev: { sha256: digestOf(last.payload) } }), stolen, last);
    },
  },
  {
    title: "the places of two statements are exchanged",
    codes: ["chain-broken", "statement-missing"],
    act: async (layout, { stolen }) => {
      const [third, fourth] = [await link(layout, 3), await link(layout, 4)];
      for (const [held, seq] of [
        [third, 4],
        [fourth, 3],
      ] as const) {
        await layout.drop(held.entry);
        await layout.attach(changed(held, { seq }), stolen, held);
      }
    },
  },
  {
    title: "a statement is attached to a part of the artifact",
    codes: ["wrong-subject"],
    act: async (layout, { child }) => {
      const { entry } = await link(layout, 3);
      await layout.change(entry, (manifest) => ({ ...manifest, subject: { ...manifest.subject, digest: child } }));
    },
  },
  {
    title: "something is trusted again after it was revoked for good, all of it signed by the registry",
    codes: ["trusted-after-permanent-revocation"],
    act: async (layout, kit) => {
      const last = await link(layout, 6);
      const time = z.object({ effectiveAt: z.string() }).parse(said(last).predicate).effectiveAt;
      const barred = changed(last, {
        seq: 7,
        prev: { sha256: digestOf(last.payload) },
        state: "revoked",
        permanent: true,
        effectiveAt: time,
      });
      const again = changed(last, { seq: 8, prev: { sha256: digestOf(barred) }, effectiveAt: time });
      for (const payload of [barred, again]) await layout.attach(payload, kit.stolen, last);
      await signSnapshot(layout, kit, (head) => ({ ...head, seq: 8, statement: `sha256:${digestOf(again)}`, permanent: true }));
    },
  },
  {
    title: "the snapshot says another state than the chain",
    codes: ["state-mismatch"],
    act: async (layout, kit) => signSnapshot(layout, kit, (head) => ({ ...head, state: "acquired" })),
  },
  {
    title: "a byte of the weights is another one",
    codes: ["blob-corrupt"],
    act: async (layout, { weights }) => {
      const bytes = await readFile(layout.pathOf(weights));
      bytes[1000] = (bytes[1000] ?? 0) ^ 1;
      await writeFile(layout.pathOf(weights), bytes);
    },
  },
  { title: "the weights are cut", codes: ["blob-corrupt"], act: async (layout, { weights }) => truncate(layout.pathOf(weights), 1000) },
  { title: "the weights are withheld", codes: ["blob-missing"], act: async (layout, { weights }) => layout.remove(weights) },
  { title: "a part of the artifact is withheld", codes: ["blob-missing"], act: async (layout, { child }) => layout.remove(child) },
  {
    title: "the index is none",
    codes: ["layout-invalid"],
    act: async (layout) => writeFile(join(layout.place, "index.json"), "[]"),
  },
  {
    title: "annotations lie, and the index has another order: no effect",
    codes: [],
    act: async (layout) => {
      const { entry } = await link(layout, 3);
      await layout.change(entry, (manifest) => ({ ...manifest, annotations: { [STATE]: "trusted", [SEQUENCE]: "9", [PREDICATE]: "x" } }));
      await layout.writeEntries((await layout.entries()).map((each) => ({ ...each, annotations: { [STATE]: "trusted" } })).toReversed());
    },
  },
];
