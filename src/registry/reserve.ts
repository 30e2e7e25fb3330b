import { StorageFullError } from "../storage/blob-store.ts";
import type { Services } from "./ports.ts";

type Needs = Pick<Services, "blobs">;

/** After so many bytes of one body the room is looked at again. */
const LOOK_EVERY = 16 * 1024 * 1024;

/**
 * Refuses what others send when only the reserve is left of the storage. What is kept free is for what takes content out of service:
 * nobody can fill the disk with uploads so that a revocation has no room to be written.
 */
export async function demandRoom({ blobs }: Needs): Promise<void> {
  if ((await blobs.room()) <= 0) throw new StorageFullError("only the reserve is left of the storage");
}

/** A body for as long as there is room beside the reserve. */
export async function* whileRoom(needs: Needs, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let unseen = LOOK_EVERY;
  for await (const chunk of bytes) {
    unseen += chunk.byteLength;
    if (unseen >= LOOK_EVERY) {
      await demandRoom(needs);
      unseen = 0;
    }
    yield chunk;
  }
}
