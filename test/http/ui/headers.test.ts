import { createHash } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { assets, script } from "../../../src/ui/assets.ts";
import { Browser, faultsOfPage } from "../../support/browser.ts";
import { type WholeRegistry, startWholeRegistry } from "../../support/whole-registry.ts";

let registry: WholeRegistry;
let browser: Browser;
beforeAll(async () => {
  registry = await startWholeRegistry({ insecureDevMode: true });
  const { secret } = await registry.identity("operator", [{ role: "operator", namespace: "*" }]);
  browser = Browser.at(registry);
  await browser.signIn("operator", secret);
});
afterAll(() => registry.close());

const PAGES = ["/ui/sessions", "/ui/sign-in", "/ui/no-such-page", "/ui/sign-out"];

test.each(PAGES)("%s is kept by nobody, framed by nobody, runs no script and sends forms to us alone", async (path) => {
  const { headers, text } = await browser.get(path);
  expect(headers["content-type"]).toBe("text/html; charset=utf-8");
  const policy = new Map((headers["content-security-policy"] as string).split("; ").map((each) => [each.split(" ", 1)[0], each] as const));
  expect([...policy.values()]).toEqual([
    "default-src 'none'",
    "script-src 'none'",
    "style-src 'self'",
    "img-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ]);
  expect(headers).toMatchObject({
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
  });
  expect(text).not.toMatch(/<script|\son\w+=|\sstyle=|<style|<iframe|<object|<embed|<base/i);
});

test("a page that follows what it shows runs our script, demanded by its hash and a nonce that no two answers share, and no other", async () => {
  const nonces = new Set<string>();
  for (const path of ["/ui/", "/ui/review", "/ui/"]) {
    const { headers, text } = await browser.get(path);
    const policy = String(headers["content-security-policy"]).split("; ");
    const [, nonce = ""] = /'nonce-([\w-]{24})'/.exec(policy.join()) ?? [];
    nonces.add(nonce);
    expect(policy).toEqual([
      "default-src 'none'",
      `script-src 'nonce-${nonce}'`,
      "connect-src 'self'",
      "style-src 'self'",
      "img-src 'self'",
      "form-action 'self'",
      "frame-ancestors 'none'",
      "base-uri 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ]);
    const integrity = `sha384-${createHash("sha384").update(script.body).digest("base64")}`;
    expect([...text.matchAll(/<script[^]*?<\/script>/g)].map(([tag]) => tag)).toEqual([
      `<script src="${script.path}" integrity="${integrity}" nonce="${nonce}" defer></script>`,
    ]);
    expect(faultsOfPage(text)).toEqual([]);
  }
  expect(nonces.size).toBe(3);
});

test.each(PAGES)(
  "%s has its landmarks, a way past the navigation, one heading of the first order, and says that nothing is secure",
  async (path) => {
    const { text } = await browser.get(path);
    expect(text).toMatch(/^<!doctype html>\s*<html lang="en">/);
    for (const landmark of ["<header", '<main id="main"', "<footer", '<a class="skip" href="#main">', "<title>"])
      expect(text).toContain(landmark);
    expect(text.match(/<h1>/g)).toHaveLength(1);
    expect(text).toContain('<p class="danger" role="alert">');
    expect(text.length).toBeLessThan(50_000);
  },
);

test("every input has a label, and every table a caption and headers with a scope", async () => {
  for (const path of PAGES) {
    const { text } = await browser.get(path);
    for (const [input] of text.matchAll(/<(?:input|select|textarea)\s[^>]*>/g)) {
      if (input.includes('type="hidden"')) continue;
      const id = /\sid="([^"]+)"/.exec(input)?.[1];
      expect(text).toContain(`<label for="${id}"`);
    }
    for (const [table] of text.matchAll(/<table[^>]*>.*?<\/table>/gs)) {
      expect(table).toContain("<caption>");
      expect(table).not.toMatch(/<th>/);
    }
  }
});

test("an error says what happened and where to go on, and differs in nothing but that between two requests", async () => {
  const [one, other] = [await browser.get("/ui/no-such-page"), await browser.get("/ui/no-such-page")];
  expect([one.status, one.text]).toEqual([404, other.text]);
  expect(one.text).toContain('<a href="/ui/">Go to the start page</a>');
  expect((await registry.ask("GET", "/ui/no-such-page")).text).toBe(one.text);
});

test("style, script and icon may be kept for ever, since their names hold their hashes", async () => {
  const page = await browser.get("/ui/review");
  expect(assets.length).toBeGreaterThan(1);
  for (const { path } of assets) {
    expect(page.text).toContain(path);
    const { status, headers, text } = await registry.ask("GET", path);
    expect([status, headers["cache-control"]]).toEqual([200, "public, max-age=31536000, immutable"]);
    expect(path).toContain(createHash("sha256").update(text).digest("hex").slice(0, 16));
    expect(headers["x-content-type-options"]).toBe("nosniff");
  }
  expect(assets.map(({ type }) => type)).toEqual(["text/css; charset=utf-8", "text/javascript; charset=utf-8", "image/svg+xml"]);
});

test("a secure registry's banner is not shown where nothing is insecure", async () => {
  await using secure = await closing();
  const { text } = await secure.registry.ask("GET", "/ui/sign-in");
  expect(text).not.toContain('class="danger"');
});

async function closing(): Promise<AsyncDisposable & { readonly registry: WholeRegistry }> {
  const started = await startWholeRegistry();
  return { registry: started, [Symbol.asyncDispose]: () => started.close() };
}
