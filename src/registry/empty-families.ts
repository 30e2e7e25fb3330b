import type { RepositoryName } from "../oci/reference.ts";
import { keys, under } from "../storage/keys.ts";
import type { Key, MetadataStore } from "../storage/metadata-store.ts";

/**
 * Metadata for decisions on many manifests of a repository in a row. What ends the right to one, or gives it by another one, is not looked for
 * where there is nothing of the kind: most repositories hold nothing revoked, and many nothing trusted. That there is nothing is asked when it
 * is first needed, so that who goes on after others had their turn has to take this anew.
 */
export function withoutEmptyFamilies(metadata: MetadataStore, repository: RepositoryName): MetadataStore {
  const families = [keys.allRevokedEverywhere(), keys.manifestReaches(repository), keys.manifestDenials(repository)];
  const asked = new Map<Key, Promise<boolean>>();
  const isEmpty = async (key: Key): Promise<boolean> => {
    const family = families.find((each) => each.every((part, at) => key[at] === part));
    if (family === undefined) return false;
    const known = asked.get(family) ?? metadata.list(under(family, 1)).then(({ length }) => length === 0);
    asked.set(family, known);
    return known;
  };
  return {
    get: async (key) => ((await isEmpty(key)) ? undefined : metadata.get(key)),
    // A range ends in the family where it begins: `under` makes them all.
    list: async (range) => ((await isEmpty(range.start)) ? [] : metadata.list(range)),
    commit: (change) => metadata.commit(change),
    close: () => metadata.close(),
  };
}
