import type { Findings } from "./findings.ts";
import type { Visitor } from "./visitor.ts";
import { type World, pageOf } from "./world.ts";

/** What a page says by itself within this time (ms) counts as live; the second that is promised is written down and not demanded of a busy machine. */
const LIMIT_MS = 10_000;

/** Pages that are open show what others do, without being loaded again, and keep what somebody is writing. */
export async function watchLive(
  world: World,
  { reviewer, operator }: Readonly<Record<"reviewer" | "operator", Visitor>>,
  findings: Findings,
): Promise<void> {
  const push = (name: string): ReturnType<World["push"]> =>
    world.push(`models/${name}`, [{ title: "weights.gguf", bytes: `weights of ${name}` }]);
  const artifact = await push("live");
  await reviewer.signIn(await world.key(reviewer.name));
  await operator.signIn();
  await reviewer.visit("/ui/review");
  const other = await push("live-too");
  await reviewer.page.locator(`#queue a[href="${pageOf(other)}"]`).waitFor({ timeout: LIMIT_MS });
  await reviewer.visit(pageOf(artifact));
  await operator.visit(pageOf(artifact));
  await operator.page.locator("#reason-revoke").fill("half a sentence");
  await world.act(artifact, "promote");
  await reviewer.page.locator("#head", { hasText: "promoted, and served to runtimes" }).waitFor({ timeout: LIMIT_MS });
  await operator.page.locator("#tab [data-old]").waitFor({ timeout: LIMIT_MS });
  const kept = await operator.page.locator("#reason-revoke").inputValue();
  if (kept !== "half a sentence") findings.add("a page that changes", `what somebody wrote is gone: ${kept}`);
  const began = performance.now();
  await world.act(artifact, "revoke", { reason: "it leaks" });
  await reviewer.page.locator("#head", { hasText: "it leaks" }).waitFor({ timeout: LIMIT_MS });
  process.stdout.write(
    `       an open page showed a revocation after ${Math.round(performance.now() - began)} ms, the revocation included\n`,
  );
  await reviewer.page.locator("#said", { hasText: "It is revoked" }).waitFor({ timeout: LIMIT_MS });
  await world.act(await push("live-three"), "quarantine");
  await reviewer.visit("/ui/sessions");
  await reviewer.press("Sign out everywhere");
}

/** The queue without a mouse: down, up, and into what is there. */
export async function useKeys(world: World, visitor: Visitor, findings: Findings): Promise<void> {
  const { keyboard } = visitor.page;
  await visitor.page.goto("/ui/sign-in");
  for (const text of [visitor.name, await world.key(visitor.name)]) {
    await tabTo(visitor, "INPUT");
    await keyboard.insertText(text);
  }
  await keyboard.press("Enter");
  await visitor.page.getByRole("heading", { level: 1, name: "What is here" }).waitFor();
  await keyboard.press("u");
  await visitor.page.getByRole("heading", { level: 1, name: "Review queue" }).waitFor();
  const focused = (): Promise<string | null> => visitor.page.evaluate<string | null>("document.activeElement.getAttribute('href')");
  await keyboard.press("j");
  const first = await focused();
  await keyboard.press("j");
  const second = await focused();
  await keyboard.press("k");
  if (first === null || first === second || (await focused()) !== first) findings.add("keys of the queue", "j and k do not go down and up");
  await keyboard.press("Enter");
  await visitor.page.getByRole("heading", { level: 2, name: "What you can do" }).waitFor();
  await keyboard.press("r");
  const field = await visitor.page.evaluate<string>("document.activeElement.id");
  if (field !== "reason-revoke") findings.add("keys of an artifact", `r leads to ${field}`);
  await keyboard.insertText("j");
  await showsFocus(visitor, findings);
}

async function tabTo({ page }: Visitor, tag: string): Promise<void> {
  for (let left = 20; left > 0; left -= 1) {
    await page.keyboard.press("Tab");
    if ((await page.evaluate<string>("document.activeElement.tagName")) === tag) return;
  }
  throw new Error(`no ${tag} is reached by the tabulator`);
}

/** Everything that the tabulator reaches on a page shows that it has the focus. */
async function showsFocus({ page }: Visitor, findings: Findings): Promise<void> {
  await page.reload();
  const seen = new Set<string>();
  for (let left = 200; left > 0; left -= 1) {
    await page.keyboard.press("Tab");
    const [name, outline] = await page.evaluate<readonly [string, string]>(
      "[document.activeElement.outerHTML.slice(0, 160), getComputedStyle(document.activeElement).outlineStyle]",
    );
    if (seen.has(name) || name.startsWith("<body")) return;
    seen.add(name);
    if (outline === "none") findings.add("focus", `cannot be seen on ${name}`);
  }
}
