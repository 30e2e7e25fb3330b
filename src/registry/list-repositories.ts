import { namespacesWith } from "../identity/authorize.ts";
import type { Page } from "../oci/page.ts";
import { type RepositoryName, repositoryNameSchema } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import type { Entry, Key, KeyRange } from "../storage/metadata-store.ts";
import { merge, rowsOf } from "./ordered-rows.ts";
import type { Caller, Services } from "./ports.ts";

type Needs = Pick<Services, "metadata">;

/** A page of repositories in ASCII order. */
export interface RepositoryPage {
  readonly repositories: readonly RepositoryName[];
  /** The value of `last` that gives the next page; undefined on the last one. */
  readonly next: RepositoryName | undefined;
}

/**
 * The repositories in which the caller sees something: all of a namespace with `pull:any` there, else those that hold something trusted.
 * Reads only the key ranges of the caller's namespaces, so that a page costs the same however many repositories there are.
 */
export async function listRepositories(needs: Needs, { principal }: Caller, { n, last }: Page): Promise<RepositoryPage> {
  if (n === 0) return { repositories: [], next: undefined };
  const any = namespacesWith(principal, "pull:any");
  const pushed = rangesOf(keys.repositories(), any, { n, last });
  const trusted = any === "*" ? [] : rangesOf(keys.trustedRepositories(), namespacesWith(principal, "pull"), { n, last });
  const repositories: RepositoryName[] = [];
  for await (const { key } of merge(rowsOf(needs, pushed), rowsOf(needs, trusted), byName)) {
    if (repositories.length === n) return { repositories, next: repositories.at(-1) };
    repositories.push(repositoryNameSchema.parse(key[1]));
  }
  return { repositories, next: undefined };
}

function byName(a: Entry, b: Entry): number {
  const [one, other] = [String(a.key[1]), String(b.key[1])];
  return one < other ? -1 : Number(one > other);
}

/** The ranges of a key family that hold the repositories of some namespaces, in order, after the entry `last`. */
function rangesOf(family: Key, namespaces: "*" | readonly string[], { n, last }: Page): readonly KeyRange[] {
  const [name] = family;
  const limit = n + 1;
  if (namespaces === "*") return [under(family, limit, last === undefined ? [] : [last])];
  return namespaces
    .flatMap((namespace) => [
      // A repository of one component is a namespace of its own (RULES 16).
      { from: namespace, to: `${namespace}\0` },
      // `0` is what follows `/`.
      { from: `${namespace}/`, to: `${namespace}0` },
    ])
    .filter(({ to }) => last === undefined || to > last)
    .toSorted((a, b) => (a.from < b.from ? -1 : 1))
    .map(({ from, to }) => ({ start: last !== undefined && last >= from ? [name, last, ""] : [name, from], end: [name, to], limit }));
}
