import { type DigestAlgorithm, isDigestAlgorithm } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { hasDigestLikeComponent } from "../oci/reference.ts";
import { admitUpload } from "./admit-upload.ts";
import type { Services } from "./ports.ts";
import { demandRoom } from "./reserve.ts";
import { type Upload, type UploadOwner, newUpload } from "./upload-id.ts";

/** What a client said of an upload when it began it. */
interface Announced {
  readonly algorithm: string | undefined;
  /** How many there will be, as far as is known. */
  readonly bytes: number;
}

/** Begins an empty upload (distribution-spec end-4a and end-4c), when there is room for it. */
export async function startUpload(
  services: Pick<Services, "metadata" | "blobs" | "random" | "secretFor" | "limits" | "settings">,
  owner: UploadOwner,
  { algorithm, bytes }: Announced,
): Promise<Upload> {
  await demandRoom(services);
  const upload = newUpload(services, owner, checkedAlgorithm(algorithm));
  await admitUpload(services, { owner, upload: upload.id, bytes });
  try {
    await services.blobs.stage(upload.id);
  } catch (error) {
    services.limits.end(upload.id);
    throw error;
  }
  return upload;
}

/** RULES 16: such a name would collide with the folders of `trusted/`. Pushes are refused before their bytes are sent. */
export function refuseDigestLikeName({ repository }: Pick<UploadOwner, "repository">): void {
  if (!hasDigestLikeComponent(repository)) return;
  const rule = "a component of a repository's name may not look like a digest (sha256-<hex>): choose another name";
  throw new RegistryError("NAME_INVALID", rule);
}

function checkedAlgorithm(named: string | undefined): DigestAlgorithm {
  if (named === undefined) return "sha256";
  if (isDigestAlgorithm(named)) return named;
  throw new RegistryError("DIGEST_INVALID", "digest-algorithm must be sha256 or sha512");
}
