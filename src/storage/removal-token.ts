import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { UploadBusyError } from "./blob-store.ts";
import { type Claim, claim, hasCode, noneWhenMissing } from "./claim.ts";
import { nameUnderWay, removeLeftovers } from "./under-way.ts";

const [PRIVATE_FOLDER, PRIVATE_FILE] = [0o700, 0o600];
/** Who holds this file, in `blobs/removal`, may remove blobs. */
const REMOVAL = "removal";
/** How often, and how long in between (ms), a removal waits for another one. */
const REMOVAL_TRIES = 500;
const REMOVAL_WAIT = 10;

/** Made whole elsewhere and then moved, since there must be exactly one. */
export async function makeRemovalToken(blobs: string): Promise<void> {
  await removeLeftovers(blobs, `${REMOVAL}.`);
  const [folder, temporary] = [join(blobs, REMOVAL), join(blobs, nameUnderWay(`${REMOVAL}.`))];
  if ((await stat(folder).catch(noneWhenMissing)) !== undefined) return;
  await mkdir(temporary, { mode: PRIVATE_FOLDER });
  await (await open(join(temporary, REMOVAL), "w", PRIVATE_FILE)).close();
  // A folder that is there by now and holds the token is in the way, which is right.
  await rename(temporary, folder).catch(async (error: unknown) => {
    if (!hasCode(error, "ENOTEMPTY", "EEXIST")) throw error;
    await rm(temporary, { recursive: true });
  });
}

/** Waits for the token, and takes it; throws `UploadBusyError` when others hold it for too long. */
export async function takeRemovalToken(blobs: string): Promise<Claim> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await claim(join(blobs, REMOVAL), REMOVAL);
    } catch (error) {
      if (!(error instanceof UploadBusyError) || tries >= REMOVAL_TRIES) throw error;
      await sleep(REMOVAL_WAIT);
    }
  }
}
