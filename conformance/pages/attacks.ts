import { once } from "node:events";
import { createServer } from "node:http";
import type { Browser, Page } from "playwright-core";
import { must } from "../must.ts";
import type { Findings } from "./findings.ts";
import { Visitor } from "./visitor.ts";
import { type Pushed, type World, pageOf } from "./world.ts";

interface Attacked {
  readonly world: World;
  readonly browser: Browser;
  readonly findings: Findings;
}

/** What a page of somebody else does, with a form that it cannot know the token of, and with one that it somehow learned. */
function attackPage(target: string, fields: Readonly<Record<string, string>>): string {
  const inputs = Object.entries(fields).map(([name, value]) => `<input type="hidden" name="${name}" value="${value}">`);
  return `<!doctype html><title>attack</title><form method="post" action="${target}">${inputs.join("")}</form>`;
}

/** A server of somebody else, whose pages are what a test puts there. */
async function strangersSite(page: () => string): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = createServer((_, answer) => void answer.writeHead(200, { "content-type": "text/html" }).end(page()));
  server.listen(0);
  await once(server, "listening");
  const address = server.address();
  const close = async (): Promise<void> => {
    const closed = once(server, "close");
    server.closeAllConnections();
    server.close();
    await closed;
  };
  return { port: typeof address === "object" && address !== null ? address.port : 0, close };
}

/**
 * Tries what pages of others can do with the browser of somebody who is signed in: send its forms, frame its pages, read them, send a form
 * again, and use a cookie that was stolen. Nothing of it may change anything.
 */
export async function attack(attacked: Attacked): Promise<void> {
  const { world, browser, findings } = attacked;
  const artifact = await world.push("models/attacked", [{ title: "weights.gguf", bytes: "attacked" }]);
  const victim = await Visitor.open({ browser, registry: world.registry, findings }, "operator");
  await victim.signIn();
  await victim.visit(pageOf(artifact));
  const known = Object.fromEntries(new URLSearchParams(await fieldsOf(victim, pageOf(artifact, "/quarantine"))));
  let shown = "";
  const site = await strangersSite(() => shown);
  try {
    const target = `${world.registry.url}${pageOf(artifact, "/quarantine")}`;
    // `localhost` is another site than 127.0.0.1; another port of the same host is only another origin, and gets the cookie.
    for (const host of ["localhost", "127.0.0.1"]) {
      const from = `http://${host}:${site.port}/`;
      shown = attackPage(target, {});
      mustBeRefused(await sendsForm(victim, from, target), `a form of ${from} without a token`, findings);
      shown = attackPage(target, known);
      mustBeRefused(await sendsForm(victim, from, target), `a form of ${from} with a token that was learned`, findings);
      await mustNotRead(victim, from, world.registry.url, findings);
    }
    must((await stateOf(world, artifact)) === "acquired", "a form of another site changed an artifact");
    await replay(victim, artifact, findings);
    await useStolenCookie(attacked, victim, target);
  } finally {
    await site.close();
    await victim.close();
  }
}

function mustBeRefused(status: number, what: string, findings: Findings): void {
  if (status < 400) findings.add(what, `status ${status}`);
}

/** How the form of another site's page is answered. */
async function sendsForm(victim: Visitor, from: string, target: string): Promise<number> {
  const page = await victim.page.context().newPage();
  await page.goto(from);
  const answered = page.waitForResponse((answer) => answer.url() === target);
  await page.evaluate("document.forms[0].submit()");
  const status = (await answered).status();
  await page.close();
  return status;
}

/** Neither a frame nor a script of another site sees a page. */
async function mustNotRead(victim: Visitor, from: string, url: string, findings: Findings): Promise<void> {
  const page = await victim.page.context().newPage();
  await page.goto(from);
  const read = await page.evaluate<string>(
    `fetch("${url}/ui/", { credentials: "include" }).then((answer) => answer.text(), () => "refused")`,
  );
  if (read !== "refused") findings.add(`a script of ${from}`, "reads a page");
  await page.evaluate(`document.body.append(Object.assign(document.createElement("iframe"), { src: "${url}/ui/" }))`);
  if (await framesIt(page)) findings.add(`a frame of ${from}`, "shows a page");
  await page.close();
}

async function framesIt(page: Page): Promise<boolean> {
  const frame = await page.locator("iframe").elementHandle();
  const inside = await frame?.contentFrame();
  await inside?.waitForLoadState();
  return (await inside?.getByText("ai-model-registry").count()) !== 0;
}

/** What the form on the page that leads there would send. */
async function fieldsOf({ page }: Visitor, action: string): Promise<string> {
  return page.evaluate<string>(`new URLSearchParams(new FormData(document.querySelector('form[action="${action}"]'))).toString()`);
}

/** A form that is sent a second time, by going back to the page that it was on, does nothing twice. */
async function replay(victim: Visitor, artifact: Pushed, findings: Findings): Promise<void> {
  const body = await fieldsOf(victim, pageOf(artifact, "/quarantine"));
  // Another tab of the same browser, since the console of this one tells of every refusal.
  const page = await victim.page.context().newPage();
  await page.goto(`${new URL(victim.page.url()).origin}${pageOf(artifact)}`);
  const send = `fetch("${pageOf(artifact, "/quarantine")}", { method: "POST", redirect: "manual",
    headers: { "content-type": "application/x-www-form-urlencoded" }, body: ${JSON.stringify(body)} })
    .then(({ status, type }) => (type === "opaqueredirect" ? 303 : status))`;
  const [first, second] = [await page.evaluate<number>(send), await page.evaluate<number>(send)];
  if (first !== 303 || second !== 409) findings.add("a form that is sent twice", `status ${first}, then ${second}`);
  await page.close();
}

/** A script cannot read the cookie; who has it all the same, from another origin, changes nothing without that session's token. */
async function useStolenCookie({ world, findings }: Attacked, victim: Visitor, target: string): Promise<void> {
  const seen = await victim.page.evaluate<string>("document.cookie");
  if (seen !== "") findings.add("the cookie", `is read by scripts: ${seen}`);
  const cookie = (await victim.page.context().cookies()).map(({ name, value }) => `${name}=${value}`).join("; ");
  const type = "application/x-www-form-urlencoded";
  for (const headers of [{ origin: "https://hostile.example" }, { origin: world.registry.url }, { "sec-fetch-site": "cross-site" }, {}]) {
    const sent = { cookie, "content-type": type, ...headers };
    const { status } = await fetch(target, { method: "POST", redirect: "manual", headers: sent, body: "reason=stolen" });
    if (status !== 403) findings.add(`a stolen cookie with ${JSON.stringify(headers)}`, `status ${status}`);
  }
  for (const path of ["/v1/artifacts", "/v2/_catalog"]) {
    const { status } = await fetch(`${world.registry.url}${path}`, { headers: { cookie } });
    if (status !== 401) findings.add(`the cookie at ${path}`, `status ${status}`);
  }
}

async function stateOf(world: World, { repository, digest }: Pushed): Promise<unknown> {
  const shown: unknown = JSON.parse(await world.ask("operator", `GET /v1/artifacts/${repository}@${digest}`));
  return typeof shown === "object" && shown !== null && "state" in shown ? shown.state : undefined;
}
