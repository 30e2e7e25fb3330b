import { createHmac, timingSafeEqual } from "node:crypto";
import { type DigestAlgorithm, isDigestAlgorithm } from "../oci/digest.ts";
import type { RepositoryName } from "../oci/reference.ts";
import { uploadRange } from "../oci/upload.ts";
import type { Services } from "./ports.ts";

/** Whose upload it is: an upload is continued by the identity that began it, in the repository where it began it. */
export interface UploadOwner {
  readonly repository: RepositoryName;
  /** The principal's name. */
  readonly identity: string;
}

/** An upload as its id tells it: nothing else is recorded, and it exists exactly as long as its staged bytes. */
export interface Upload {
  readonly id: string;
  /** What the upload is hashed with while it arrives; the digest that closes it may name another one. */
  readonly algorithm: DigestAlgorithm;
}

/** The query parameter of a location that tells how much the upload had when the location was given out. */
export const OFFSET_PARAMETER = "_o";

/** Bytes of chance in an id, and bytes of the HMAC that binds it: 128 bits each. */
const STRENGTH = 16;

/** A fresh upload: `<algorithm>.<random>.<mac>`, which nobody can guess and which is good for its owner alone. */
export function newUpload(services: Pick<Services, "random" | "secretFor">, owner: UploadOwner, algorithm: DigestAlgorithm): Upload {
  const random = Buffer.from(services.random(STRENGTH)).toString("base64url");
  const parts = `${algorithm}.${random}`;
  return { id: `${parts}.${macOf(services, owner, parts)}`, algorithm };
}

/** The upload that an id names, when it is one of this owner; nothing for a forged id and for other people's uploads alike. */
export function parseUploadId(services: Pick<Services, "secretFor">, owner: UploadOwner, id: string): Upload | undefined {
  const [algorithm, random, mac, ...rest] = id.split(".");
  if (algorithm === undefined || random === undefined || mac === undefined || rest.length > 0) return undefined;
  if (!isDigestAlgorithm(algorithm)) return undefined;
  // As text: base64url has several spellings of the same bytes, and each of them would be another staged file.
  const [given, right] = [Buffer.from(mac), Buffer.from(macOf(services, owner, `${algorithm}.${random}`))];
  return given.length === right.length && timingSafeEqual(given, right) ? { id, algorithm } : undefined;
}

/** The headers by which an answer tells where an upload goes on and how much of it there is (distribution-spec §Pushing a blob in chunks). */
export function uploadHeaders(
  repository: RepositoryName,
  { id }: Upload,
  size: number,
): { readonly Location: string; readonly Range: string } {
  return { Location: `/v2/${repository}/blobs/uploads/${id}?${OFFSET_PARAMETER}=${size}`, Range: uploadRange(size) };
}

function macOf(services: Pick<Services, "secretFor">, { repository, identity }: UploadOwner, parts: string): string {
  const mac = createHmac("sha256", services.secretFor("upload-id")).update(JSON.stringify([parts, repository, identity]));
  return mac.digest().subarray(0, STRENGTH).toString("base64url");
}
