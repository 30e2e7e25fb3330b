import type { Findings } from "./findings.ts";
import type { Scene } from "./scene.ts";
import type { Visitor } from "./visitor.ts";
import { type World, pageOf } from "./world.ts";

/** A digest and a command are copied by their buttons; where the browser refuses, what is to be copied is selected. Both are said. */
export async function copyByButtons(world: World, { trusted }: Scene, visitor: Visitor, findings: Findings): Promise<void> {
  const { page } = visitor;
  await visitor.signIn();
  await visitor.visit(pageOf(trusted));
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  const said = (words: string): Promise<void> => page.locator("#said", { hasText: words }).waitFor();
  const copied = (): Promise<string> => page.evaluate<string>("navigator.clipboard.readText()");
  await visitor.press("Copy the digest");
  await said("It is copied.");
  if ((await copied()) !== trusted.digest) findings.add("the button of a digest", `copies ${await copied()}`);
  await page.getByText("Commands that fetch it").click();
  await visitor.press("Copy the command for oras");
  await visitor.until(`navigator.clipboard.readText().then((text) => text.startsWith("oras pull ${world.registry.host}/"))`);
  // Chromium refuses everything else once it is told what it may grant.
  await page.context().clearPermissions();
  await page.context().grantPermissions(["notifications"]);
  await visitor.press("Copy the digest");
  await said("it is selected");
  const selected = await page.evaluate<string>("getSelection().toString()");
  if (selected !== trusted.digest) findings.add("a copy that the browser refuses", `selects ${selected}`);
}

/** Without scripts there is no button that does nothing, and the digest is selected by a click. */
export async function selectWithoutScripts({ trusted }: Scene, visitor: Visitor, findings: Findings): Promise<void> {
  const { page } = visitor;
  await visitor.signIn();
  await visitor.visit(pageOf(trusted));
  if (await page.getByRole("button", { name: "Copy the digest" }).isVisible()) findings.add("a page without scripts", "offers to copy");
  const style = await page.evaluate<string>(`getComputedStyle(document.querySelector("code.whole")).userSelect`);
  if (style !== "all") findings.add("a page without scripts", `a click on the digest selects by ${style}`);
}
