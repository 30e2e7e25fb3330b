import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Subject } from "./main-job-story.ts";
import { must } from "./must.ts";
import { CHECKOUT, UNKEPT } from "./registry-process.ts";

const PAGE = "deploy/README.md";

/** The commands of the page on running the registry that a mark stands before. */
export async function commandsOf(mark: string): Promise<string> {
  const page = await readFile(join(CHECKOUT, PAGE), "utf8");
  const commands = page.split(`<!-- ${mark} -->`)[1]?.split("```")[1]?.replace(/^sh\n/, "");
  if (commands === undefined) throw new Error(`${PAGE} has no commands marked ${mark}`);
  return commands;
}

/** What its readers and its operator see of a registry: the same of one that was restored. */
export async function seenOf(registry: Pick<Subject, "url" | "key">): Promise<string> {
  const authorization = `Basic ${Buffer.from(`operator:${await registry.key("operator")}`).toString("base64")}`;
  const seen = ["/v2/_catalog", "/v1/models", "/v1/artifacts"].map(async (path) => {
    const answer = await fetch(registry.url + path, { headers: { ...UNKEPT, authorization } });
    must(answer.status === 200, `${path} answered ${answer.status}`);
    return answer.text();
  });
  return (await Promise.all(seen)).join("\n");
}
