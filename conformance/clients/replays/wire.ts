import type { RunningRegistry } from "../../registry-process.ts";

/** How a client trades its key for a token: most by GET, containerd and what is made of it by a form. */
export type TokenCall = "get" | "form";

/** A request as a client sends it; the address may be the one that an answer named. */
export interface Sent {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array<ArrayBuffer>;
}

/** An answer other than the client goes on with: its message is the status and the registry's code. */
export class Refused extends Error {}

/** What a client that signed in sends to a registry: bare at first, and again with a token when it is asked for one. */
export class Wire {
  readonly repository: string;
  readonly #registry: RunningRegistry;
  readonly #name: string;
  readonly #tokenCall: TokenCall;
  #token: string | undefined;

  constructor(registry: RunningRegistry, name: string, repository: string, tokenCall: TokenCall = "get") {
    this.repository = repository;
    this.#registry = registry;
    this.#name = name;
    this.#tokenCall = tokenCall;
  }

  /** Sends a request below the repository, and holds the answer to the statuses that the client goes on with. */
  async send(address: string, accepted: readonly number[], { method = "GET", headers = {}, body }: Sent = {}): Promise<Response> {
    const url = new URL(address, `${this.#registry.url}/v2/${this.repository}/`);
    const once = (): Promise<Response> => {
      const authorization = this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` };
      return fetch(url, { method, headers: { ...headers, ...authorization }, ...(body === undefined ? {} : { body }) });
    };
    let answer = await once();
    if (answer.status === 401) {
      await answer.body?.cancel();
      this.#token = await this.#fetchToken(answer.headers.get("www-authenticate") ?? "");
      answer = await once();
    }
    if (accepted.includes(answer.status)) return answer;
    const [, code = ""] = /"code":"([A-Z_]+)"/.exec(await answer.text()) ?? [];
    throw new Refused(`${answer.status} ${code}`.trim());
  }

  async #fetchToken(challenge: string): Promise<string> {
    const parameters = Object.fromEntries([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = "", value = ""]) => [name, value]));
    const { realm = "", service = "", scope = "" } = parameters;
    const key = await this.#registry.key(this.#name);
    const basic = Buffer.from(`${this.#name}:${key}`).toString("base64");
    const form = { grant_type: "password", service, scope, username: this.#name, password: key, client_id: "containerd-client" };
    const answer =
      this.#tokenCall === "form"
        ? await fetch(realm, { method: "POST", body: new URLSearchParams(form) })
        : await fetch(`${realm}?${new URLSearchParams({ service, scope }).toString()}`, { headers: { authorization: `Basic ${basic}` } });
    if (answer.status !== 200) throw new Refused(`${answer.status} at the token endpoint`);
    const [, token = ""] = /"access_token":"([^"]+)"/.exec(await answer.text()) ?? [];
    return token;
  }
}
