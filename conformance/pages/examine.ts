import type { Page } from "playwright-core";
import type { Findings } from "./findings.ts";
import type { Visitor } from "./visitor.ts";

/** WCAG 2.2 AA, by the names that axe gives its rules. */
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"];
/** What the colours of a scheme can break. */
const COLOURS = ["color-contrast", "link-in-text-block"];
const MAX_BYTES = 50_000;

/** As wide as a page is at four times its size on a common screen (WCAG 1.4.10). */
const NARROW = { width: 320, height: 640 };
const WIDE = { width: 1280, height: 900 };

interface Fault {
  readonly rule: string;
  readonly where: string;
}

/** Looks at a page as it stands: in light and dark, on a wide and a narrow screen, or in one way only. */
export async function examine({ page }: Visitor, where: string, findings: Findings, everyWay = true): Promise<void> {
  await report(page, where, findings);
  for (const fault of await faultsOfMarkup(page)) findings.add(where, fault);
  if (!everyWay) return;
  await page.emulateMedia({ colorScheme: "dark" });
  await report(page, `${where}, dark`, findings, COLOURS);
  await page.setViewportSize(NARROW);
  for (const wide of await widerThanScreen(page)) findings.add(`${where}, narrow`, `it is wider than the screen by ${wide}`);
  await page.emulateMedia({ colorScheme: "light" });
  await report(page, `${where}, narrow`, findings);
  await page.setViewportSize(WIDE);
}

/** A page that has just been loaded: how large it was, and what moved meanwhile. */
export async function examineLoad({ page, scripts }: Visitor, where: string, bytes: number, findings: Findings): Promise<void> {
  if (bytes > MAX_BYTES) findings.add(where, `${bytes} bytes`);
  if (!scripts) return;
  const shift = await page.evaluate<number>("layoutShift");
  if (shift !== 0) findings.add(where, `its layout shifts by ${shift}`);
}

async function report(page: Page, where: string, findings: Findings, rules = RULES): Promise<void> {
  const run = `axe.run(document, { runOnly: ${JSON.stringify(rules)}, resultTypes: ["violations", "incomplete"] }).then(({ violations }) =>
    violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => ({ rule: id, where: html.slice(0, 160) + " " + failureSummary }))))`;
  for (const { rule, where: node } of await page.evaluate<readonly Fault[]>(run))
    findings.add(where, `axe ${rule}: ${node.replaceAll(/\s+/g, " ")}`);
}

/** What a text from others would have made of the page if it had been taken for markup: such elements are nowhere in pages of ours. */
async function faultsOfMarkup(page: Page): Promise<readonly string[]> {
  return page.evaluate<readonly string[]>(`(() => {
    const strange = [...document.querySelectorAll("img, iframe, object, embed, base, style, video, audio, meta[http-equiv], [style], [hostile]")];
    const scripts = [...document.querySelectorAll("script")].filter(({ src }) => !src.startsWith(location.origin + "/ui/assets/"));
    const leading = [...document.querySelectorAll("[href], [action], [src]")].filter((element) =>
      !(element.matches("a[rel='noopener nofollow noreferrer']") && element.protocol === "https:") &&
      !/^(?:#|\\/ui\\/)/.test(element.getAttribute("href") ?? element.getAttribute("action") ?? element.getAttribute("src")));
    const handling = [...document.querySelectorAll("*")].filter(({ attributes }) => [...attributes].some(({ name }) => name.startsWith("on")));
    return [...strange, ...scripts, ...leading, ...handling].map((element) => "unexpected " + element.outerHTML.slice(0, 200));
  })()`);
}

/** A page that has to be moved sideways (WCAG 1.4.10), by what is to blame. */
async function widerThanScreen(page: Page): Promise<readonly string[]> {
  return page.evaluate<readonly string[]>(`(() => {
    if (document.documentElement.scrollWidth <= innerWidth) return [];
    const wide = [...document.querySelectorAll("main *, header *, footer *")].filter((element) =>
      element.getBoundingClientRect().right > innerWidth && element.closest(".wide") === null);
    return wide.slice(0, 3).map((element) => element.outerHTML.slice(0, 120));
  })()`);
}
