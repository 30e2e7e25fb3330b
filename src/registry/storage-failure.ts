import { RegistryError } from "../oci/errors.ts";
import { StorageFullError, UploadBusyError } from "../storage/blob-store.ts";

/** Codes of the operating system that say: no room. */
const FULL: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT"]);
/** Codes that say: the storage or the machine cannot do it now. */
const FAILED: ReadonlySet<string> = new Set(["EIO", "EROFS", "EMFILE", "ENFILE", "ENOMEM", "ESTALE", "ETIMEDOUT", "EACCES", "EPERM"]);

/** What a failure of a storage driver means to whoever asked; undefined when it is no such failure. */
export function storageFailure(error: unknown): RegistryError | undefined {
  if (error instanceof UploadBusyError)
    return new RegistryError("UPLOAD_BUSY", undefined, { cause: error, headers: { "Retry-After": "1" } });
  if (error instanceof StorageFullError) return new RegistryError("STORAGE_FULL", undefined, { cause: error });
  const code = codeOf(error);
  if (code === undefined) return undefined;
  if (FULL.has(code)) return new RegistryError("STORAGE_FULL", undefined, { cause: error });
  return FAILED.has(code) ? new RegistryError("STORAGE_FAILED", undefined, { cause: error, headers: { "Retry-After": "5" } }) : undefined;
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
