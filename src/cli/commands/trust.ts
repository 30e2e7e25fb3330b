import type { Command } from "commander";
import { type TrustRootView, trustRootList, trustRootView } from "../../api/policies.ts";
import { sizeText, table, timeText } from "../output.ts";
import { readSmallFile } from "../read-file.ts";
import type { OpenSession } from "../session.ts";

const MAX_BYTES = 1_048_576;

const HELP = `
A policy names a trust root by name and digest, as in trustRoots: { corp: { name: corp-root, digest: sha256:... } }. The root of the
public-good instance of Sigstore is there as public-good.

Examples:
  securectl trust add corp-root trusted_root.json
  securectl trust list`;

/** `trust`: the Sigstore trusted roots that policies may name. */
export function addTrust(program: Command, open: OpenSession): void {
  const trust = program
    .command("trust")
    .summary("keep and list trust roots")
    .description("Keep and list the Sigstore trusted roots that promotion policies name.")
    .addHelpText("after", HELP);
  trust
    .command("add")
    .summary("keep a trusted root under a name")
    .description("Keep a trusted root under a name, for policies to name it. Others of the same name stay, each by its digest.")
    .argument("<name>", "name of the trust root")
    .argument("<file>", "a Sigstore trusted root, in its JSON form")
    .action(async (name: string, file: string, _options: object, command: Command) => {
      const session = open(command);
      const bytes = await readSmallFile(file, MAX_BYTES);
      const headers = { "Content-Type": "application/json" };
      const ask = { method: "PUT", path: `/v1/trust-roots/${encodeURIComponent(name)}`, bytes, headers } as const;
      const root = await (await session.native("operator")).request(ask, trustRootView);
      session.show(root, () => `Kept: ${root.name}, ${root.digest}`);
    });
  trust
    .command("list")
    .summary("list trust roots")
    .description("List the trust roots that policies may name.")
    .action(async (_options: object, command: Command) => {
      const session = open(command);
      const { trust_roots: roots } = await (
        await session.native("operator")
      ).request({ method: "GET", path: "/v1/trust-roots" }, trustRootList);
      session.show({ trust_roots: roots }, () => listText(roots));
    });
}

function listText(roots: readonly TrustRootView[]): string {
  const rows = roots.map(({ name, digest, size, added_by: by, added_at: at }) => [
    name,
    digest,
    sizeText(size),
    by,
    at === null ? "with the registry" : timeText(at),
  ]);
  return table(["NAME", "DIGEST", "SIZE", "ADDED BY", "SINCE"], rows);
}
