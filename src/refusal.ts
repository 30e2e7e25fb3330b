import { UsageError } from "./command-line.ts";
import { ConfigError } from "./config.ts";
import { FirstModelsError } from "./registry/first-models-file.ts";
import { StartError } from "./start-error.ts";
import { AddressSpaceError } from "./storage/address-space.ts";
import { BackupError } from "./storage/backup-folder.ts";
import { DataDirectoryError } from "./storage/data-directory.ts";
import { SealError } from "./storage/sealed.ts";
import { SecretFileError } from "./storage/secret-file.ts";
import { SigningError } from "./storage/signing-keys.ts";

/** What the program says of an error that an operator can mend; undefined for a fault of ours, which shows where it came from. */
export function refusal(error: unknown): string | undefined {
  const known = [
    UsageError,
    AddressSpaceError,
    ConfigError,
    StartError,
    DataDirectoryError,
    SecretFileError,
    SigningError,
    FirstModelsError,
    BackupError,
    SealError,
  ].some((kind) => error instanceof kind);
  return known && error instanceof Error ? error.message : undefined;
}
