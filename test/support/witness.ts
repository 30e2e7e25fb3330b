import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";
import type { Operation } from "../../src/api/operation.ts";
import { operations } from "../../src/api/operations.ts";
import { Contract, type ObservedAnswer } from "./contract.ts";

/** A request of an operation. */
export interface Asked {
  /** The value of `Authorization`. */
  readonly as?: string | undefined;
  readonly path?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Text is sent as it is, all else as JSON. */
  readonly body?: unknown;
  /** Says that more of the body will come, and sends none. */
  readonly stalls?: boolean;
  /** Sends one header more than a request may have. */
  readonly crowds?: boolean;
}

/** Headers of a request that are refused by an answer; Node cuts off those with more by itself. */
const TOO_MANY = 65;

/** Asks registries, and holds each answer to the published document and to the schemas that the program has for it. */
export class Witness {
  readonly contract = new Contract();
  readonly #faults: string[] = [];
  readonly #seen = new Map<string, Set<number>>();
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 8 });

  /** What was wrong since this was asked the last time. */
  takeFaults(): readonly string[] {
    return this.#faults.splice(0);
  }

  /** The statuses that were seen of an operation. */
  seen(id: string): ReadonlySet<number> {
    return this.#seen.get(id) ?? new Set();
  }

  async ask(url: string, id: string, asked: Asked = {}): Promise<ObservedAnswer> {
    const operation = operations.find((each) => each.id === id);
    if (operation === undefined) throw new TypeError(`there is no operation ${id}`);
    const answer = await this.#send(url + urlOf(operation, asked), operation.method, asked);
    this.#seen.set(id, new Set([...this.seen(id), answer.status]));
    this.#faults.push(...this.contract.faultsOf(id, answer), ...programsFaults(operation, answer));
    return answer;
  }

  /** The body of an answer that has to have this status. */
  async expect<T>(url: string, id: string, status: number, asked: Asked = {}): Promise<T> {
    const answer = await this.ask(url, id, asked);
    if (answer.status !== status) throw new Error(`${id} answered ${answer.status}: ${answer.text}`);
    return JSON.parse(answer.text) as T;
  }

  close(): void {
    this.#agent.destroy();
  }

  #send(url: string, method: string, { as, headers = {}, body, stalls = false, crowds = false }: Asked): Promise<ObservedAnswer> {
    const bytes = body === undefined ? "" : typeof body === "string" ? body : JSON.stringify(body);
    const length = method === "GET" ? {} : { "Content-Length": String(Buffer.byteLength(bytes) + (stalls ? 1 : 0)) };
    const told = {
      Host: new URL(url).host,
      Connection: "keep-alive",
      ...(as !== undefined && { Authorization: as }),
      ...length,
      ...headers,
    };
    const more = crowds ? Array.from({ length: TOO_MANY - Object.keys(told).length }, (_, at) => [`X-${at}`, "x"] as const) : [];
    const all = { ...told, ...Object.fromEntries(more) };
    return new Promise((resolve, reject) => {
      const outgoing = request(url, { method, agent: this.#agent, headers: all });
      outgoing.once("error", reject);
      outgoing.once("response", (incoming) => {
        const pairs = Object.entries(incoming.headers).map(([name, value]): [string, string] => [name, String(value)]);
        const observed = text(incoming).then((said) => ({ status: incoming.statusCode ?? 0, headers: new Headers(pairs), text: said }));
        resolve(stalls ? observed.finally(() => outgoing.destroy()) : observed);
      });
      if (stalls) outgoing.flushHeaders();
      else outgoing.end(bytes);
    });
  }
}

/** As clients write it that are made from the document: whatever stands in a path or a query is encoded. */
function urlOf({ path }: Operation, asked: Asked): string {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(asked.path?.[name] ?? ""));
  const query = new URLSearchParams(asked.query ?? {}).toString();
  return query === "" ? filled : `${filled}?${query}`;
}

function programsFaults({ id, answers }: Operation, { status, headers, text: said }: ObservedAnswer): readonly string[] {
  const answer = answers[status];
  if (answer === undefined || headers.get("content-type")?.startsWith(answer.mediaType ?? "application/json") !== true) return [];
  const parsed = answer.schema.safeParse(JSON.parse(said));
  return (parsed.error?.issues ?? []).map(
    ({ path, code }) => `${id}: ${status} is not what the program says of it: /${path.join("/")} ${code}`,
  );
}
