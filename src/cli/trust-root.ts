import { InvalidArgumentError, Option } from "commander";
import { isDigest } from "../oci/digest.ts";

/** The door of a name of trust roots. */
export function trustRootPath(name: string): string {
  return `/v1/trust-roots/${encodeURIComponent(name)}`;
}

/** An option whose value is a digest. */
export function digestOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser((text: string) => {
    if (!isDigest(text)) throw new InvalidArgumentError("It must be a digest, such as sha256:<64 hex digits>.");
    return text;
  });
}
