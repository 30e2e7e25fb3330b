import type { Descriptor } from "../oci/descriptor.ts";
import type { Digest } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import type { Fault } from "../policy/check.ts";
import { keys } from "../storage/keys.ts";
import type { Expectation } from "../storage/metadata-store.ts";
import { blobRecord } from "../storage/records.ts";
import { inPortions } from "./in-portions.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "metadata">;

/** Blobs that are looked up before others have their turn in this process. */
const BLOBS_AT_A_TIME = 128;

export interface BlobFaults {
  readonly faults: readonly Fault[];
  readonly damaged: readonly Digest[];
  /** The links that the answer rests on. */
  readonly expect: readonly Expectation[];
}

/** What is wrong with the blobs of some descriptors: each needs the repository's own link, and the size that the descriptor says (RULES 2). */
export async function blobFaults(needs: Needs, repository: RepositoryName, descriptors: Iterable<Descriptor>): Promise<BlobFaults> {
  const faults: Fault[] = [];
  const damaged: Digest[] = [];
  const expect: Expectation[] = [];
  for await (const { digest, size } of inPortions(descriptors, BLOBS_AT_A_TIME)) {
    const link = await needs.metadata.get(keys.link(repository, digest));
    const blob = await needs.metadata.get(keys.blob(digest));
    if (link === undefined || blob === undefined) {
      faults.push({ digest, problem: "is not in this repository: push it" });
      continue;
    }
    expect.push({ key: link.key, version: link.version });
    const record = blobRecord.parse(blob.value);
    if (record.size !== size) faults.push({ digest, problem: `has ${record.size} bytes, not the ${size} that its descriptor says` });
    if (record.damaged) damaged.push(digest);
  }
  return { faults, damaged, expect };
}
