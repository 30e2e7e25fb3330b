import { examine } from "./examine.ts";
import type { Findings } from "./findings.ts";
import type { Visitor } from "./visitor.ts";
import type { World } from "./world.ts";

/** A check that begins by itself reads so slowly that it is under way for minutes, and one that somebody asks for goes as fast as it can. */
export const SLOW_CHECKS = { REGISTRY_VERIFY_INTERVAL: "1s", REGISTRY_VERIFY_RATE: "1000" } as const;

/** Within so long (ms) the first check begins, and one is seen to move: workers look for what is due once a minute. */
const LIMIT_MS = 90_000;

/** The page of operations shows how far the check of all bytes is while it goes on, and its end, without being loaded again. */
export async function watchCheck(world: World, auditor: Visitor, findings: Findings): Promise<void> {
  const { page } = auditor;
  await auditor.signIn(await world.key(auditor.name));
  await auditor.visit("/ui/operations");
  await page.locator("#integrity progress").waitFor({ timeout: LIMIT_MS });
  const value = `document.querySelector("#integrity progress")?.value`;
  const before = await page.evaluate<number>(value);
  await auditor.until(`${value} > ${before}`, LIMIT_MS);
  await examine(auditor, "operations while a check goes on", findings);
  const ended = await page.evaluate<string>(`document.querySelector("#integrity .notice time")?.dateTime ?? ""`);
  await auditor.press("Check all bytes");
  // The next one by itself begins at once, so that there is a bar again; what tells of an end is when the last one ended.
  await page.locator(`#integrity .notice time:not([datetime="${ended}"])`).waitFor({ timeout: LIMIT_MS });
}
