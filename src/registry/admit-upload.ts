import type { Admission, UploadClaim } from "../limits/uploads.ts";
import type { RegistryError } from "../oci/errors.ts";
import { namespaceOf } from "../oci/reference.ts";
import { whenThereIsRoom } from "./begin-work.ts";
import type { Services } from "./ports.ts";
import { overQuota, quotaOf, usageOf } from "./quotas.ts";
import type { UploadOwner } from "./upload-id.ts";

type Needs = Pick<Services, "metadata" | "limits" | "settings">;

/** An upload of somebody, with as many bytes as it is known to have in the end. */
export interface Arrival {
  readonly owner: UploadOwner;
  readonly upload: string;
  readonly bytes: number;
}

/** A body of at most so many bytes is there before anybody could count it. */
const SMALL = 64 * 1024;

/** Admits a new upload: when it has to be refused, that is done here and not when its bytes are on their way. */
export async function admitUpload(needs: Needs, arrival: Arrival): Promise<void> {
  const claim = await claimOf(needs, arrival);
  await whenThereIsRoom(async () => {
    const admission = await needs.limits.admit(claim);
    if (admission === "open" || admission === "bytes") throw await refusal(needs, claim, admission);
    return admission === "admitted";
  }, "too many uploads arrive at this moment");
}

/** Bytes for an upload that was admitted: `bytes` is what it then has, `length` undefined where nobody said how many they are. */
interface IncomingBytes extends Arrival {
  readonly length: number | undefined;
  readonly body: AsyncIterable<Uint8Array>;
}

/**
 * Writes to an upload that was admitted, and has it counted meanwhile. Only a quota of bytes refuses it: before its bytes are read, or when
 * more of them come than there is room for.
 */
export async function whileArriving<T>(
  needs: Needs,
  incoming: IncomingBytes,
  write: (body: AsyncIterable<Uint8Array>) => Promise<T>,
): Promise<T> {
  const claim = await claimOf(needs, incoming);
  const { upload, body, length } = incoming;
  if (claim.left === null && (length ?? Infinity) <= SMALL) return write(body);
  const admission = await needs.limits.arrive(claim);
  if (admission !== "admitted") throw await refusal(needs, claim, admission);
  try {
    return await write(claim.left === null || length !== undefined ? body : whileRoomIn(needs, claim, body));
  } finally {
    needs.limits.pause(upload);
  }
}

async function* whileRoomIn(needs: Needs, claim: UploadClaim, body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let { bytes } = claim;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > (claim.left ?? Infinity)) throw await refusal(needs, { ...claim, bytes }, "bytes");
    yield chunk;
  }
}

async function claimOf(needs: Needs, { owner, upload, bytes }: Arrival): Promise<UploadClaim> {
  const namespace = namespaceOf(owner.repository);
  const quota = await quotaOf(needs, namespace);
  const left = quota.bytes === null ? null : Math.max(0, quota.bytes - (await usageOf(needs, namespace)).bytes);
  return { upload, namespace, identity: owner.identity, bytes, left, open: quota.uploads };
}

async function refusal(needs: Needs, { namespace, bytes, open }: UploadClaim, why: Admission): Promise<RegistryError> {
  if (why === "open") return overQuota({ namespace, resource: "uploads", limit: open ?? 0, used: open ?? 0, wanted: 1 });
  const [quota, { bytes: used }] = [await quotaOf(needs, namespace), await usageOf(needs, namespace)];
  return overQuota({ namespace, resource: "bytes", limit: quota.bytes ?? used, used, wanted: bytes });
}
