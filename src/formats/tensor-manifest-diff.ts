import { type TensorEntry, type TensorManifest, manifestHeadSchema } from "./tensor-manifest.ts";

/** How a tensor differs between two manifests. */
interface TensorDifference {
  readonly name: string;
  /** `added` and `removed`: only the second, or the first, has it. */
  readonly change: "added" | "removed" | "content" | "type" | "shape";
}

/** What differs between what two manifests describe. Where a tensor lies in its file is no difference. */
export interface ManifestDiff {
  readonly same: boolean;
  /** Members beside the tensors that differ. */
  readonly members: readonly { readonly member: string; readonly from: string; readonly to: string }[];
  /** How many tensors each has, and how many both have alike. */
  readonly tensors: { readonly from: number; readonly to: number; readonly alike: number };
  /** How many tensors differ, also of those that are not told. */
  readonly count: number;
  /** The first tensors that differ. */
  readonly differences: readonly TensorDifference[];
}

const MEMBERS = manifestHeadSchema.keyof().options;
/** What a person can use, and an answer can hold. */
const MAX_DIFFERENCES = 1_000;
const MAX_CHARACTERS = 512 * 1024;

/** Compares two manifests. */
export function diffManifests(from: TensorManifest, to: TensorManifest): ManifestDiff {
  const members = MEMBERS.filter((member) => from[member] !== to[member]).map((member) => ({
    member,
    from: String(from[member]),
    to: String(to[member]),
  }));
  const differences = [...tensorDifferences(from, to)];
  const removed = differences.filter(({ change }) => change === "removed").length;
  const added = differences.filter(({ change }) => change === "added").length;
  const alike = from.tensors.length - removed - (differences.length - removed - added);
  return {
    same: members.length === 0 && differences.length === 0,
    members,
    tensors: { from: from.tensors.length, to: to.tensors.length, alike },
    count: differences.length,
    differences: told(differences),
  };
}

function* tensorDifferences(from: TensorManifest, to: TensorManifest): Generator<TensorDifference> {
  const left = new Map(to.tensors.map((tensor) => [tensor.name, tensor]));
  for (const tensor of from.tensors) {
    const change = changeOf(tensor, left.get(tensor.name));
    if (change !== undefined) yield { name: tensor.name, change };
    left.delete(tensor.name);
  }
  for (const name of left.keys()) yield { name, change: "added" };
}

function changeOf(from: TensorEntry, to: TensorEntry | undefined): TensorDifference["change"] | undefined {
  if (to === undefined) return "removed";
  if (from.type !== to.type) return "type";
  if (from.shape.join() !== to.shape.join()) return "shape";
  return from.hash === to.hash ? undefined : "content";
}

function told(differences: readonly TensorDifference[]): readonly TensorDifference[] {
  let characters = 0;
  return differences.slice(0, MAX_DIFFERENCES).filter(({ name }) => (characters += name.length) <= MAX_CHARACTERS);
}

const WORDS: Readonly<Record<TensorDifference["change"], string>> = {
  added: "only in the second",
  removed: "only in the first",
  content: "other content",
  type: "another type",
  shape: "another shape",
};

/** A comparison in words. */
export function diffText({ same, members, tensors, count, differences }: ManifestDiff): string {
  if (same) return "The manifests describe the same file.";
  const head = members.map(({ member, from, to }) => `${member}: ${from} -> ${to}`);
  const summary = count === 0 ? `All ${tensors.from} tensors are alike.` : `${count} tensors differ, ${tensors.alike} are alike:`;
  const lines = differences.map(({ name, change }) => `  ${name}: ${WORDS[change]}`);
  const more = count > differences.length ? [`  ... and ${count - differences.length} more`] : [];
  return [...head, summary, ...lines, ...more].join("\n");
}
