import type { Services } from "../registry/ports.ts";
import { UploadBusyError } from "../storage/blob-store.ts";

type Needs = Pick<Services, "blobs" | "clock" | "log">;

export interface ExpireOptions {
  /** How long (ms) an upload may stay without growing. */
  readonly lifetime?: number;
  readonly signal?: AbortSignal;
}

const LIFETIME = 24 * 60 * 60 * 1000;

/** Discards the uploads that nobody has written to for their lifetime; how many. */
export async function expireUploads(services: Needs, { lifetime = LIFETIME, signal }: ExpireOptions = {}): Promise<number> {
  const before = services.clock() - lifetime;
  let expired = 0;
  for await (const upload of services.blobs.listStaged()) {
    if (signal?.aborted === true) break;
    if (await expire(services, upload, before)) expired += 1;
  }
  return expired;
}

async function expire({ blobs, log }: Needs, upload: string, before: number): Promise<boolean> {
  try {
    const touchedAt = await blobs.touchedAt(upload);
    if (touchedAt === undefined || touchedAt > before) return false;
    await blobs.discard(upload);
    return true;
  } catch (error) {
    // Somebody writes to it again. Its id is as good as a credential, and is not logged.
    if (!(error instanceof UploadBusyError)) log.error({ err: error }, "an upload could not be expired");
    return false;
  }
}
