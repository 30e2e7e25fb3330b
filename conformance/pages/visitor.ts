import axe from "axe-core";
import type { Browser, BrowserContext, Page, Response } from "playwright-core";
import { must } from "../must.ts";
import type { RunningRegistry } from "../registry-process.ts";
import type { Findings } from "./findings.ts";

/** Counts what moves on a page by itself, from its first moment on (web-vitals' CLS, without what follows on a click). */
const COUNT_SHIFTS = `globalThis.layoutShift = 0;
new PerformanceObserver((list) => { for (const entry of list.getEntries()) if (!entry.hadRecentInput) globalThis.layoutShift += entry.value; })
  .observe({ type: "layout-shift", buffered: true });`;

/** What a browser writes about the status of the page itself, which the page says in words. */
const STATUS_OF_PAGE = /^Failed to load resource: the server responded with a status of (?:4\d\d|503)/;
const LIMIT_MS = 15_000;
const POLL_MS = 100;

/** How somebody looks at the pages. */
export interface Manner {
  /** Does the browser run scripts? */
  readonly scripts: boolean;
  readonly colorScheme?: "light" | "dark";
  readonly width?: number;
}

/** Somebody at a browser of their own, whose page is watched: whatever it says to the console, or asks of anybody else, is a finding. */
export class Visitor {
  readonly name: string;
  readonly page: Page;
  readonly scripts: boolean;
  readonly #context: BrowserContext;
  readonly #registry: Pick<RunningRegistry, "url" | "key">;

  private constructor(name: string, page: Page, scripts: boolean, registry: Pick<RunningRegistry, "url" | "key">) {
    this.name = name;
    this.page = page;
    this.scripts = scripts;
    this.#context = page.context();
    this.#registry = registry;
  }

  /** Opens a browser for somebody. */
  static async open(
    {
      browser,
      registry,
      findings,
    }: { readonly browser: Browser; readonly registry: Pick<RunningRegistry, "url" | "key">; readonly findings: Findings },
    name: string,
    { scripts, colorScheme = "light", width = 1280 }: Manner = { scripts: true },
  ): Promise<Visitor> {
    const context = await browser.newContext({
      baseURL: registry.url,
      javaScriptEnabled: scripts,
      colorScheme,
      viewport: { width, height: 900 },
      reducedMotion: "reduce",
    });
    context.setDefaultTimeout(LIMIT_MS);
    await context.addInitScript(COUNT_SHIFTS);
    await context.addInitScript(axe.source);
    const page = await context.newPage();
    const here = (): string => `${name} at ${new URL(page.url(), registry.url).pathname}`;
    page.on("console", (message) => {
      const isOwnStatus = STATUS_OF_PAGE.test(message.text()) && message.location().url === page.url();
      if (!isOwnStatus) findings.add(here(), `console: ${message.text()}`);
    });
    page.on("pageerror", (error) => findings.add(here(), `script: ${error.message}`));
    page.on("dialog", (dialog) => {
      findings.add(here(), `a dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("request", (request) => {
      if (!request.url().startsWith(`${registry.url}/ui`)) findings.add(here(), `it asks for ${request.url()}`);
    });
    return new Visitor(name, page, scripts, registry);
  }

  /** Goes to a page by its address; its answer. */
  async visit(path: string): Promise<Response> {
    const answer = await this.page.goto(path);
    must(answer !== null, `${path} was not asked for`);
    return answer;
  }

  /** Signs in by the form, with the key of an identity. */
  async signIn(key?: string): Promise<void> {
    await this.visit("/ui/sign-in");
    await this.page.getByLabel("Name of the identity").fill(this.name);
    await this.page.getByLabel("API key").fill(key ?? (await this.#registry.key(this.name)));
    await this.press("Sign in");
    await this.page.getByRole("heading", { level: 1, name: "What is here" }).waitFor();
  }

  /** Presses the button of this name; there must be one. */
  async press(name: string): Promise<void> {
    await this.page.getByRole("button", { name, exact: true }).click();
  }

  /** Follows the link of this name. */
  async follow(name: string | RegExp): Promise<void> {
    await this.page.getByRole("link", { name }).first().click();
  }

  /** Waits until the page says so. */
  async reads(words: string | RegExp): Promise<void> {
    await this.page.getByText(words).first().waitFor();
  }

  /** Waits until an expression holds on the page. Playwright's own wait has the page evaluate text, which its policy refuses. */
  async until(expression: string, limitMs = LIMIT_MS): Promise<void> {
    const deadline = performance.now() + limitMs;
    while (!(await this.page.evaluate<boolean>(expression))) {
      must(performance.now() < deadline, `it does not come to hold: ${expression}`);
      await this.page.waitForTimeout(POLL_MS);
    }
  }

  /** The text of the page. */
  async text(): Promise<string> {
    return this.page.locator("body").innerText();
  }

  async close(): Promise<void> {
    await this.#context.close();
  }
}
