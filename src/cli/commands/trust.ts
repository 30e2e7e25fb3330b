import type { Command } from "commander";
import { type TrustRootView, endedTrustRoots, trustRootList, trustRootView } from "../../api/policies.ts";
import { sizeText, table, timeText } from "../output.ts";
import { withYes } from "../options.ts";
import { readSmallFile } from "../read-file.ts";
import type { OpenSession } from "../session.ts";
import { digestOption, trustRootPath } from "../trust-root.ts";
import { addTrustAuthorities } from "./trust-authorities.ts";
import { addTrustUpdate } from "./trust-update.ts";

const MAX_BYTES = 1_048_576;

const HELP = `
A policy names a trust root by name and digest, as in trustRoots: { corp: { name: corp-root, digest: sha256:... } }. The root of the
public-good instance of Sigstore is there as public-good. What a TUF repository has is fetched by trust update, and never by itself; a
policy names it as in trustRoots: { corp: { tuf: { name: corp-root, rootDigest: sha256:..., maxAgeHours: 72 } } }.

Examples:
  securectl trust add corp-root trusted_root.json
  securectl trust update corp-root --mirror https://tuf.corp.example --root root.json
  securectl trust list
  securectl trust revoke-authority --key publisher.pem --reason "the key was on a stolen laptop"`;

/** `trust`: the Sigstore trusted roots that policies may name. */
export function addTrust(program: Command, open: OpenSession): void {
  const trust = program
    .command("trust")
    .summary("keep, update and list trust roots; revoke publishers")
    .description("Keep, update and list the Sigstore trusted roots that promotion policies name, and have publishers be believed no more.")
    .addHelpText("after", HELP);
  addAdd(trust, open);
  addTrustUpdate(trust, open);
  addList(trust, open);
  addShow(trust, open);
  addDelete(trust, open);
  addTrustAuthorities(trust, open);
}

function addAdd(trust: Command, open: OpenSession): void {
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
      const ask = { method: "PUT", path: trustRootPath(name), bytes, headers } as const;
      const root = await (await session.native("operator")).request(ask, trustRootView);
      session.show(root, () => `Kept: ${root.name}, ${root.digest}`);
    });
}

function addList(trust: Command, open: OpenSession): void {
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

function addShow(trust: Command, open: OpenSession): void {
  trust
    .command("show")
    .summary("print a trusted root")
    .description("Print a trusted root byte for byte, also one that policies may name no more.")
    .argument("<name>", "name of the trust root")
    .argument("<digest>", "its digest, as trust list and decisions tell it")
    .action(async (name: string, digest: string, _options: object, command: Command) => {
      const session = open(command);
      const bytes = await (await session.native("operator")).bytes({ path: trustRootPath(name), query: { digest } }, MAX_BYTES);
      const { stdout } = session.terminal.streams;
      if (stdout.isTTY === true) session.terminal.print(bytes.toString("utf8"));
      else stdout.write(bytes);
    });
}

function addDelete(trust: Command, open: OpenSession): void {
  withYes(trust.command("delete").summary("end a name of trust roots"))
    .description(
      "End a name of trust roots: policies may name them by it no more. It is refused while a policy in force does. Their documents stay.",
    )
    .argument("<name>", "name of the trust roots")
    .addOption(digestOption("--digest <digest>", "this one of the name alone"))
    .action(async (name: string, { digest, yes }: { readonly digest?: string; readonly yes?: boolean }, command: Command) => {
      const session = open(command);
      await session.confirm(`No policy can name ${digest ?? `the trust roots of ${name}`} any more.`, yes);
      const ask = { method: "DELETE", path: trustRootPath(name), query: { digest } } as const;
      const ended = await (await session.native("operator")).request(ask, endedTrustRoots);
      session.show(ended, () => `Ended: ${ended.name}, ${ended.digests.join(", ")}`);
    });
}

function listText(roots: readonly TrustRootView[]): string {
  const rows = roots.map(({ name, digest, size, added_by: by, added_at: at, tuf }) => [
    name,
    digest,
    sizeText(size),
    by,
    at === null ? "with the registry" : timeText(at),
    tuf === null ? "-" : `${timeText(tuf.updated_at)}, expires ${timeText(tuf.expires_at)}, from ${tuf.root_digest}`,
  ]);
  return table(["NAME", "DIGEST", "SIZE", "ADDED BY", "SINCE", "UPDATED"], rows);
}
