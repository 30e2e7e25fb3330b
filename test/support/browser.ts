import type { IncomingHttpHeaders } from "node:http";
import type { TestRegistry } from "./server.ts";
import type { WholeRegistry } from "./whole-registry.ts";

/** What a browser gets. */
interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** What is asked over a connection, and how it is answered. */
type AskServer = (method: string, path: string, headers: Readonly<Record<string, string>>, body?: string) => Promise<Answer>;

/** A form of a page: where it goes, and the fields that it sends unless they are changed. */
export interface Form {
  readonly action: string;
  readonly method: string;
  readonly fields: Readonly<Record<string, string>>;
  /** Its markup. */
  readonly html: string;
}

/** What a browser without JavaScript does: keeps cookies, follows what it is sent to, and sends forms as they stand on the page. */
export class Browser {
  readonly #ask: AskServer;
  readonly #origin: string;
  readonly cookies = new Map<string, string>();

  constructor(origin: string, ask: AskServer) {
    this.#origin = origin;
    this.#ask = ask;
  }

  /** At a registry of a test. */
  static at(registry: Pick<WholeRegistry, "ask" | "edge">): Browser {
    return new Browser(registry.edge.url, (method, path, headers, body) =>
      registry.ask(method, path, { headers, ...(body !== undefined && { body }) }),
    );
  }

  /** At a whole registry over real stores, signed in. */
  static async signedIn(registry: TestRegistry, name: string, key: string): Promise<Browser> {
    const browser = new Browser(registry.url, async (method, path, headers, body) => {
      const answer = await registry.fetchAs("nobody", path, { method, headers, ...(body !== undefined && { body }) });
      const text = await answer.text();
      return {
        status: answer.status,
        headers: { ...Object.fromEntries(answer.headers), "set-cookie": answer.headers.getSetCookie() },
        text,
      };
    });
    const { status } = await browser.signIn(name, key);
    if (status !== 303) throw new Error(`${name} could not sign in: ${status}`);
    return browser;
  }

  get cookieHeader(): Record<string, string> {
    const cookies = [...this.cookies].map(([name, value]) => `${name}=${value}`);
    return cookies.length === 0 ? {} : { Cookie: cookies.join("; ") };
  }

  async get(path: string): Promise<Answer> {
    return this.#kept(await this.#ask("GET", path, { ...this.cookieHeader, "Sec-Fetch-Site": "none" }));
  }

  /** Sends a form; `headers` in place of those that a browser sets by itself. */
  async post(
    path: string,
    fields: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>> = this.own,
  ): Promise<Answer> {
    const sent = { "Content-Type": "application/x-www-form-urlencoded", ...this.cookieHeader, ...headers };
    return this.#kept(await this.#ask("POST", path, sent, new URLSearchParams(fields).toString()));
  }

  /** What a browser tells of where a form of ours was. */
  get own(): Readonly<Record<string, string>> {
    return { Origin: this.#origin, "Sec-Fetch-Site": "same-origin" };
  }

  async signIn(name: string, key: string, next?: string): Promise<Answer> {
    return this.post("/ui/sign-in", { name, key, ...(next !== undefined && { next }) });
  }

  /** Sends the form with this action that is on a page, with some fields changed. */
  async submit(page: string, action: string, changes: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.post(action, { ...(await this.form(page, action)).fields, ...changes });
  }

  /** The form with this action that is on a page. */
  async form(page: string, action: string): Promise<Form> {
    const form = formsOf((await this.get(page)).text).find((each) => each.action === action);
    if (form === undefined) throw new Error(`${page} has no form for ${action}`);
    return form;
  }

  #kept(answer: Answer): Answer {
    for (const line of answer.headers["set-cookie"] ?? []) {
      const [pair = "", ...flags] = line.split(/; */);
      const at = pair.indexOf("=");
      if (flags.includes("Max-Age=0")) this.cookies.delete(pair.slice(0, at));
      else this.cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
    return answer;
  }
}

/** The forms of a page, with the values of their inputs. */
export function formsOf(text: string): readonly Form[] {
  return [...text.matchAll(/<form\s([^>]*)>(.*?)<\/form>/gs)].map(([, attributes = "", html = ""]) => ({
    action: attributeOf(attributes, "action") ?? "",
    method: attributeOf(attributes, "method") ?? "get",
    fields: Object.fromEntries(
      [...html.matchAll(/<input\s([^>]*)>/g)].map(([, input = ""]) => [
        attributeOf(input, "name") ?? "",
        attributeOf(input, "value") ?? "",
      ]),
    ),
    html,
  }));
}

function attributeOf(attributes: string, name: string): string | undefined {
  const value = new RegExp(`(?:^|\\s)${name}="([^"]*)"`).exec(attributes)?.[1];
  return value === undefined ? undefined : unescaped(value);
}

function unescaped(text: string): string {
  const named: Readonly<Record<string, string>> = { "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&amp;": "&" };
  return text.replace(/&(?:lt|gt|quot|amp|#39);/g, (entity) => named[entity] ?? entity);
}

/** Elements without an end. */
const VOID = new Set(["meta", "link", "input", "br", "hr", "path", "rect"]);
/** How a model card may lead elsewhere. */
const LINK_ELSEWHERE = /^\s+href="https:\/\/[^"<>\s]+" rel="noopener nofollow noreferrer"$/;

const TAG = /<(\/?)([a-z][a-z0-9]*)((?:\s+[a-zA-Z0-9-]+(?:="[^"<>]*")?)*)\s*\/?>|<[^]{0,40}/g;

/** What is wrong with a page as markup: elements that do not close as they opened, attributes without quotes, what runs or leads elsewhere. */
export function faultsOfPage(text: string): readonly string[] {
  const faults: string[] = [];
  const open: string[] = [];
  for (const [tag, slash, name, attributes] of text.replace(/^<!doctype html>/, "").matchAll(TAG)) {
    if (name === undefined) faults.push(`no tag: ${tag}`);
    else if (slash === "/") faults.push(...(open.pop() === name ? [] : [`${tag} closes another element`]));
    else if (!VOID.has(name)) open.push(name);
    faults.push(...faultsOfElement(slash === "/" ? "" : name, attributes));
  }
  return [...faults, ...open.map((name) => `never closed: ${name}`), ...sizeFaults(text)];
}

function sizeFaults({ length }: string): readonly string[] {
  return length > 50_000 ? [`${length} characters`] : [];
}

/** The one script of ours, which no text from others can be: its address holds its hash, and it is demanded to have it. */
const OWN_SCRIPT = /^ src="\/ui\/assets\/[0-9a-f]{16}-live\.js" integrity="sha384-[\w+/=]+" nonce="[\w-]{24}" defer$/;

function faultsOfElement(name = "", attributes = ""): readonly string[] {
  if (name === "script" && OWN_SCRIPT.test(attributes)) return [];
  const faults = [...attributes.matchAll(/\s([a-zA-Z0-9-]+)(?:="([^"]*)")?/g)].flatMap(([, attribute = "", value = ""]) => [
    ...(attribute.toLowerCase().startsWith("on") || attribute === "style" ? [`the attribute ${attribute}`] : []),
    ...(/^(?:href|action|src)$/.test(attribute) && !/^(?:#(?:main|end)$|\/ui\/)/.test(value) && !LINK_ELSEWHERE.test(attributes)
      ? [`leads to ${value}`]
      : []),
  ]);
  const isPicture = name === "svg" && /\sclass="(?:graph|history)"/.test(attributes);
  return /^(?:script|iframe|object|embed|base|img|svg|foreignobject|style)$/.test(name) && !isPicture
    ? [`the element ${name}`, ...faults]
    : faults;
}
