import type { RepositoryName } from "../oci/reference.ts";
import { type Content, keys, under } from "../storage/keys.ts";
import type { ReachRecord } from "../storage/records.ts";
import type { Services } from "./ports.ts";

/** Is it a part of its root, which has its folder in `trusted/`? Statements and what is only covered are served, but are none (RULES 23). */
export function isPart({ statement, covered }: Omit<ReachRecord, "v">): boolean {
  return !statement && covered !== true;
}

/** Does a trusted root reach or cover some content, by its rows: whatever is revoked everywhere since? */
export async function isReached({ metadata }: Pick<Services, "metadata">, repository: RepositoryName, content: Content): Promise<boolean> {
  const rows = await metadata.list(under(keys.reaches(repository, content), 1));
  return rows.length > 0;
}
