import { createReadStream } from "node:fs";
import { buffer } from "node:stream/consumers";
import { type Command, InvalidArgumentError, Option } from "commander";
import { scanEvidence } from "../api/evidence.ts";
import { parseJson } from "../oci/json.ts";
import { CliError, EXIT } from "./failure.ts";
import { parseAnnotation } from "./options.ts";

/** No more than the registry takes as a body. */
const MAX_BYTES = 1024 * 1024;

type TextByName = ReadonlyMap<string, string>;

/** What scanners said, in options or in a file. */
export interface ScanOptions {
  readonly scan: TextByName;
  readonly scannerVersion: TextByName;
  readonly policyVersion?: string;
  readonly sourceRevision?: string;
  readonly evidenceFile?: string;
}

/** Adds the options for scan evidence. */
export function withScanOptions(command: Command): Command {
  return command
    .option("--scan <name=result>", "what a scanner found, such as modelscan=pass; may be given often", onePerName, new Map())
    .option("--scanner-version <name=version>", "which version of it that was; may be given often", onePerName, new Map())
    .option("--policy-version <text>", "version of the policy under which it was scanned")
    .option("--source-revision <text>", "revision of what the artifact was made from")
    .addOption(
      new Option("--evidence-file <file>", "JSON with scan_results, scanner_versions, policy_version and source_revision").conflicts([
        "scan",
        "scannerVersion",
        "policyVersion",
        "sourceRevision",
      ]),
    );
}

/** The members of a request that those options stand for; throws a `CliError` for a file that holds no evidence. */
export async function scanBody(options: ScanOptions): Promise<Record<string, unknown>> {
  if (options.evidenceFile !== undefined) return readEvidence(options.evidenceFile);
  const { scan, scannerVersion, policyVersion, sourceRevision } = options;
  return {
    // fromEntries makes members of its own of whatever name, __proto__ too.
    ...(scan.size > 0 && { scan_results: Object.fromEntries(scan) }),
    ...(scannerVersion.size > 0 && { scanner_versions: Object.fromEntries(scannerVersion) }),
    ...(policyVersion !== undefined && { policy_version: policyVersion }),
    ...(sourceRevision !== undefined && { source_revision: sourceRevision }),
  };
}

/** A scanner that said two things said nothing that anybody could rely on. */
function onePerName(text: string, before: TextByName): TextByName {
  const [name, value] = parseAnnotation(text);
  if (before.has(name)) throw new InvalidArgumentError(`${name} is given twice.`);
  return new Map([...before, [name, value]]);
}

async function readEvidence(file: string): Promise<Record<string, unknown>> {
  const { data, error } = scanEvidence.safeParse(parse(file, await read(file)));
  if (data !== undefined) return data;
  const [issue] = error.issues;
  const place = issue === undefined || issue.path.length === 0 ? "the document" : issue.path.join(".");
  throw unusable(file, `does not hold scan evidence: ${place}: ${issue?.message ?? "is not what it should be"}`);
}

async function read(file: string): Promise<Buffer> {
  let bytes: Buffer;
  try {
    bytes = await buffer(createReadStream(file, { end: MAX_BYTES }));
  } catch (error) {
    throw unusable(file, "cannot be read", error);
  }
  if (bytes.length > MAX_BYTES) throw unusable(file, `has more than ${MAX_BYTES} bytes`);
  return bytes;
}

function parse(file: string, bytes: Buffer): unknown {
  try {
    return parseJson(bytes);
  } catch (error) {
    throw unusable(file, `is not acceptable JSON${error instanceof Error ? `: ${error.message}` : ""}`, error);
  }
}

function unusable(file: string, why: string, cause?: unknown): CliError {
  return new CliError(EXIT.usage, `the evidence file ${file} ${why}`, { cause });
}
