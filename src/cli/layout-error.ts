import type { LayoutFault } from "../oci/layout-fault.ts";
import { CliError, EXIT } from "./failure.ts";

/** An OCI image layout, or the archive that it is in, cannot be taken for what it should be. */
export class LayoutError extends CliError {
  readonly code: LayoutFault;
  /** What is wrong, without the code. */
  readonly rule: string;

  constructor(code: LayoutFault, rule: string, cause?: unknown) {
    super(EXIT.integrity, `${code}: ${rule}`, { cause });
    this.code = code;
    this.rule = rule;
  }
}
