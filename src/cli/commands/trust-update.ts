import { type Command, Option } from "commander";
import { trustRootView } from "../../api/policies.ts";
import { digestOf } from "../../oci/digest.ts";
import { CliError, EXIT } from "../failure.ts";
import { timeText } from "../output.ts";
import { readSmallFile } from "../read-file.ts";
import type { OpenSession } from "../session.ts";
import { digestOption, trustRootPath } from "../trust-root.ts";
import { type FetchedTarget, type TufRepository, fetchTrustedRoot, parseMirror, publicGood } from "../tuf-client.ts";

/** What a TUF client takes at most. */
const MAX_ROOT_BYTES = 512_000;

const HELP = `
This command alone goes to the network, and only to the mirror that is named here: nothing is updated by itself. The trusted root that the
TUF repository has is verified on this machine, beginning with the root metadata in the file, and then sent to the registry with the time.
What is tampered with, expired or older than the update before is refused and changes nothing.

A policy names it by the digest of that file, and says how old the last update may be. With --public-good the file is the one that comes
with this release, and the mirror that of the public-good instance of Sigstore.

Examples:
  securectl trust update corp-root --mirror https://tuf.corp.example --root root.json --root-digest sha256:...
  securectl trust update public-good --public-good`;

interface UpdateOptions {
  readonly mirror?: string;
  readonly root?: string;
  readonly rootDigest?: string;
  readonly publicGood?: boolean;
}

/** `trust update`: fetches a trusted root by TUF, when an operator says so. */
export function addTrustUpdate(trust: Command, open: OpenSession): void {
  trust
    .command("update")
    .summary("fetch a trusted root from its TUF repository")
    .description("Fetch the trusted root of a TUF repository, verify it here, and have the registry keep it.")
    .argument("<name>", "name of the trust root")
    .addOption(new Option("--mirror <url>", "address of the TUF repository, or of a mirror of it"))
    .addOption(new Option("--root <file>", "root metadata of the repository that you trust, such as its first root.json"))
    .addOption(digestOption("--root-digest <digest>", "the digest that this file must have"))
    .addOption(new Option("--public-good", "the public-good instance of Sigstore").conflicts(["mirror", "root"]))
    .addHelpText("after", HELP)
    .action(async (name: string, options: UpdateOptions, command: Command) => {
      const session = open(command);
      const repository = options.publicGood === true ? await publicGood() : await namedRepository(options);
      const rootDigest = digestOf(repository.root);
      if (options.rootDigest !== undefined && options.rootDigest !== rootDigest)
        throw new CliError(EXIT.integrity, `the root metadata have the digest ${rootDigest}, not ${options.rootDigest}`);
      const fetched = await fetchTrustedRoot(repository);
      const ask = { method: "PUT", path: `${trustRootPath(name)}/update`, body: bodyOf(rootDigest, fetched) } as const;
      const root = await (await session.native("operator")).request(ask, trustRootView);
      const { expiresAt } = fetched;
      session.show(
        root,
        () =>
          `Updated: ${root.name}, ${root.digest}\nRoot metadata: ${rootDigest}\nThe repository's metadata expire: ${timeText(expiresAt)}`,
      );
    });
}

async function namedRepository({ mirror, root }: UpdateOptions): Promise<TufRepository> {
  if (mirror === undefined || root === undefined)
    throw new CliError(EXIT.usage, "name a repository by --mirror and --root, or say --public-good");
  return { mirror: parseMirror(mirror), root: await readSmallFile(root, MAX_ROOT_BYTES) };
}

function bodyOf(rootDigest: string, { text, fetchedAt, expiresAt, versions }: FetchedTarget): Readonly<Record<string, unknown>> {
  return {
    root_digest: rootDigest,
    updated_at: new Date(fetchedAt).toISOString(),
    expires_at: new Date(expiresAt).toISOString(),
    versions,
    trusted_root: text,
  };
}
