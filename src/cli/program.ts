import { Command } from "commander";
import { addAcquire } from "./commands/acquire.ts";
import { addApprove } from "./commands/approve.ts";
import { addAudit } from "./commands/audit.ts";
import { addCompletion } from "./commands/completion.ts";
import { addDelete } from "./commands/delete.ts";
import { addDiscover } from "./commands/discover.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addEvaluate } from "./commands/evaluate.ts";
import { addExport } from "./commands/export.ts";
import { addHistory } from "./commands/history.ts";
import { addImport } from "./commands/import.ts";
import { addInfo } from "./commands/info.ts";
import { addKey } from "./commands/key.ts";
import { addList } from "./commands/list.ts";
import { addLock } from "./commands/lock.ts";
import { addNamespace } from "./commands/namespace.ts";
import { addPath } from "./commands/path.ts";
import { addPolicy } from "./commands/policy.ts";
import { addPromote } from "./commands/promote.ts";
import { addPull } from "./commands/pull.ts";
import { addPush } from "./commands/push.ts";
import { addQuarantine } from "./commands/quarantine.ts";
import { addRevoke } from "./commands/revoke.ts";
import { addSigningKey } from "./commands/signing-key.ts";
import { addStatus } from "./commands/status.ts";
import { addTag } from "./commands/tag.ts";
import { addTrust } from "./commands/trust.ts";
import { addVerifyAll } from "./commands/verify-all.ts";
import { addVerifyLayout } from "./commands/verify-layout.ts";
import { addVerifyManifest } from "./commands/verify-manifest.ts";
import { addVerify } from "./commands/verify.ts";
import { addTensorManifest } from "./commands/tensor-manifest.ts";
import { DEFAULT_URL } from "./server-url.ts";
import type { OpenSession } from "./session.ts";
import type { Streams } from "./terminal.ts";
import { visibleLines } from "./visible.ts";

const HELP = `
Credentials, the first that is there: --token-file, SECURECTL_TOKEN, SERVICE_TOKEN_PATH; then, to push, pull, import and move tags, a login of
docker or podman, which for all else comes last; then the files in <REGISTRY_DIR, or ./data>/credentials of a registry on this machine:
publisher to push, import and move tags, runtime to pull, service-token for what the predecessor's API does with names (list, info, path,
verify, acquire, revoke, delete), and operator for all else. Programs on the registry's own machine read registered names without any.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not authenticated, 4 denied by policy, 5 not found, 6 integrity failure, 7 conflict,
8 rate-limited or unavailable.`;

/** In the order of the help. */
const COMMANDS = [
  addPush,
  addPull,
  addAcquire,
  addList,
  addInfo,
  addPath,
  addVerify,
  addVerifyManifest,
  addVerifyAll,
  addDiscover,
  addHistory,
  addExport,
  addVerifyLayout,
  addImport,
  addQuarantine,
  addEvaluate,
  addApprove,
  addPromote,
  addRevoke,
  addDelete,
  addTag,
  addTensorManifest,
  addLock,
  addAudit,
  addKey,
  addPolicy,
  addTrust,
  addNamespace,
  addSigningKey,
  addStatus,
  addDoctor,
  addCompletion,
];

/** The tree of commands. Commander neither exits nor prints by itself: it throws, and writes to the given streams. */
export function createProgram(version: string, streams: Streams, open: OpenSession): Command {
  const program = new Command("securectl")
    .description("Push, pull and govern AI artifacts in an ai-model-registry.")
    .version(version)
    .option("--server <url>", `address of the registry (default: REGISTRY_URL, or ${DEFAULT_URL})`)
    .option("--token-file <file>", "file with the API key or token to show; - for standard input")
    .option("--json", "print one JSON document on standard output, as schemas/securectl.schema.json describes it")
    .option("-q, --quiet", "no messages but warnings and errors")
    .configureHelp({ showGlobalOptions: true })
    // What it refuses it quotes: scripts pass on names that others have given.
    .configureOutput({ writeOut: (text) => streams.stdout.write(text), writeErr: (text) => streams.stderr.write(visibleLines(text)) })
    .showHelpAfterError("(securectl --help tells more)")
    .addHelpText("after", HELP)
    .exitOverride();
  for (const add of COMMANDS) add(program, open);
  return program;
}
