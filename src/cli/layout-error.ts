import { CliError, EXIT } from "./failure.ts";

/** Why a layout is refused before anything in it is believed: stable, for scripts. */
export type LayoutFault =
  /** Not a tar archive of the forms that are read, or one that ends early. */
  | "archive-invalid"
  /** Links, devices, names that lead elsewhere, or a name twice. */
  | "archive-unsafe"
  /** No OCI image layout: its marker or its index is not there or is not of its form. */
  | "layout-invalid"
  /** Beyond the bounds of what is read. */
  | "layout-too-large"
  /** Named and not there. */
  | "blob-missing"
  /** There with other bytes than its digest or its size says. */
  | "blob-corrupt";

/** An OCI image layout, or the archive that it is in, cannot be taken for what it should be. */
export class LayoutError extends CliError {
  readonly code: LayoutFault;

  constructor(code: LayoutFault, message: string, cause?: unknown) {
    super(EXIT.integrity, `${code}: ${message}`, { cause });
    this.code = code;
  }
}
