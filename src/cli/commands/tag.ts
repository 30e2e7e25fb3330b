import { type Command, InvalidArgumentError } from "commander";
import { z } from "zod";
import { isDigest } from "../../oci/digest.ts";
import { parseRepository, parseTagRef } from "../artifact-ref.ts";
import type { NativeAsk } from "../client.ts";
import type { RemovedTag, TagList } from "../json-outputs.ts";
import { reasonOption, withYes } from "../options.ts";
import type { OpenSession, Session } from "../session.ts";

const pointersSchema = z.looseObject({ repository: z.string(), tag: z.string() });

interface MoveOptions {
  readonly to: string;
  readonly reason?: string;
  readonly yes?: boolean;
}

interface RemoveOptions {
  readonly pushed?: boolean;
  readonly reason?: string;
  readonly yes?: boolean;
}

const HELP = `
A tag has two pointers: the last digest that was pushed, which publishers and reviewers see, and the last one that was promoted, which
readers see. A push never moves readers.

Examples:
  securectl tag list models/phi-3
  securectl tag rollback models/phi-3:stable --to sha256:0123... --reason "regression in v2"
  securectl tag remove models/phi-3:nightly`;

/** `tag`: what readers see under a tag. */
export function addTag(program: Command, open: OpenSession): void {
  const tag = program
    .command("tag")
    .summary("list, move and remove tags")
    .description("List, move and remove tags.")
    .addHelpText("after", HELP);
  tag
    .command("list")
    .summary("list the tags that you may see")
    .description("List the tags of a repository that you may see.")
    .argument("<repository>", "name of the repository")
    .action(async (name: string, _options: object, command: Command) => {
      const session = open(command);
      const repository = (await session.registry("operator")).repository(parseRepository(name, session.server));
      const tags: string[] = [];
      for await (const each of repository.tags()) tags.push(each);
      const found: TagList = { repository: repository.name, tags };
      session.show(found, () => (tags.length === 0 ? "No tags." : tags.join("\n")));
    });
  addMove(tag, open, { name: "promote", alias: "set", summary: "let readers see a trusted digest under a tag", asks: false });
  addMove(tag, open, { name: "rollback", alias: undefined, summary: "let readers see an earlier digest under a tag", asks: true });
  addRemove(tag, open);
}

function addMove(
  tag: Command,
  open: OpenSession,
  {
    name,
    alias,
    summary,
    asks,
  }: { readonly name: string; readonly alias: string | undefined; readonly summary: string; readonly asks: boolean },
): void {
  const command = tag.command(name).summary(summary);
  if (alias !== undefined) command.alias(alias);
  withYes(command)
    .description("Let readers see another digest under a tag. It must be trusted; what was pushed under the tag stays.")
    .argument("<ref>", "<repository>:<tag>")
    .requiredOption("--to <digest>", "the trusted digest", digestArgument)
    .addOption(reasonOption())
    .action(async (refArgument: string, { to, reason, yes }: MoveOptions, self: Command) => {
      const session = open(self);
      const { repository, tag: named } = parseTagRef(refArgument, session.server);
      if (asks) await session.confirm(`Let readers see ${to} under ${repository}:${named}?`, yes);
      await send(
        session,
        { method: "PUT", path: promotedPath(repository, named), body: { digest: to, reason } },
        `Moved: ${repository}:${named} is ${to} for readers`,
      );
    });
}

function addRemove(tag: Command, open: OpenSession): void {
  withYes(tag.command("remove").alias("rm").summary("take a tag away from readers"))
    .description("Take a tag away from readers. With --pushed, remove the tag as it was pushed instead; readers keep theirs.")
    .argument("<ref>", "<repository>:<tag>")
    .option("--pushed", "the pushed pointer, not that of readers")
    .addOption(reasonOption())
    .action(async (refArgument: string, { pushed, reason, yes }: RemoveOptions, self: Command) => {
      const session = open(self);
      const { repository, tag: named } = parseTagRef(refArgument, session.server);
      const what = `${repository}:${named}${pushed === true ? " as it was pushed" : " from readers"}`;
      await session.confirm(`Remove ${what}?`, yes);
      if (pushed !== true)
        return send(session, { method: "DELETE", path: promotedPath(repository, named), body: { reason } }, `Removed: ${what}`);
      await (await session.registry("publisher")).repository(repository).deleteManifest(named);
      const removed: RemovedTag = { repository, tag: named, pushed: null };
      return session.show(removed, () => `Removed: ${what}`);
    });
}

/** Moving what readers see is for maintainers and owners; operators never push, nor move tags. */
async function send(session: Session, ask: NativeAsk, done: string): Promise<void> {
  const pointers = await (await session.native("publisher")).request(ask, pointersSchema);
  session.show(pointers, () => done);
}

function promotedPath(repository: string, tag: string): string {
  return `/v1/tags/${repository}:${tag}/promoted`;
}

function digestArgument(text: string): string {
  if (!isDigest(text)) throw new InvalidArgumentError("It must be a digest.");
  return text;
}
