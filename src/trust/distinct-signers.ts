import type { Digest } from "../oci/digest.ts";
import type { SignerIdentity } from "./verdict.ts";

/** Who signed, and the SHA-256 of the public key by which; undefined where an earlier version did not write that down. */
export interface Signatory {
  readonly signer: SignerIdentity;
  readonly key?: Digest | undefined;
}

/**
 * Groups signatures by who made them, in the order of their first: those that have a key or a name in common are of one signer, in whichever
 * authority, by itself or in a certificate, and below whichever pinned root (trust.md §0, 8). What cannot be told apart counts once.
 */
export function bySigner<T extends Signatory>(signed: readonly T[]): readonly (readonly T[])[] {
  const groups = new Set<Group<T>>();
  const byMark = new Map<string, Group<T>>();
  for (const each of signed) {
    const marks = marksOf(each);
    const known = new Set(marks.flatMap((mark) => byMark.get(mark) ?? []));
    const [group = { marks: new Set<string>(), of: [] }, ...others] = known;
    group.of.push(each);
    for (const mark of marks) group.marks.add(mark);
    for (const other of others) {
      group.of.push(...other.of);
      for (const mark of other.marks) group.marks.add(mark);
      groups.delete(other);
    }
    groups.add(group);
    for (const mark of others.length > 0 ? group.marks : marks) byMark.set(mark, group);
  }
  return [...groups].map(({ of }) => of);
}

interface Group<T> {
  readonly marks: Set<string>;
  readonly of: T[];
}

function marksOf({ signer, key }: Signatory): readonly string[] {
  const keys = key === undefined ? [] : [`key:${key}`];
  switch (signer.type) {
    case "key":
      return [`key:${signer.fingerprint}`];
    case "identity":
      return [`identity:${JSON.stringify([signer.issuer, signer.subject])}`, ...keys];
    case "certificate":
      return [`certificate:${signer.subject}`, ...keys];
  }
}
