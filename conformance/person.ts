import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { mustSucceed } from "./must.ts";
import { type Command, type Ran, run } from "./run-program.ts";
import type { RunningRegistry } from "./registry-process.ts";

/** What a person needs of a registry. */
type Reached = Pick<RunningRegistry, "url" | "host" | "dataDirectory" | "key">;

/** A request without a body, or with one of text. */
interface Request {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** One person's view of a registry: oras with a credential file of its own, and securectl. */
export class Person {
  /** The folder that docker's clients find the person's credential in, as DOCKER_CONFIG. */
  readonly dockerConfig: string;
  readonly #registry: Reached;
  readonly #oras: string;
  readonly #name: string;
  readonly #folder: string;

  constructor(registry: Reached, oras: string, name: string, folder: string) {
    this.dockerConfig = join(folder, `${name}-docker`);
    this.#registry = registry;
    this.#oras = oras;
    this.#name = name;
    this.#folder = folder;
  }

  /** Logs in as one of the identities of the first start, by its credential file. */
  async login(): Promise<void> {
    await mkdir(this.dockerConfig, { recursive: true });
    const input = await readFile(join(this.#registry.dataDirectory, "credentials", this.#name), "utf8");
    mustSucceed(await this.oras(["login", this.#registry.host, "--username", this.#name, "--password-stdin"], { input }));
  }

  oras(args: readonly string[], command: Command = {}): Promise<Ran> {
    const config = ["--registry-config", join(this.dockerConfig, "config.json")];
    return run(this.#oras, [...args, "--plain-http", ...config], { cwd: this.#folder, ...command });
  }

  async securectl(args: readonly string[]): Promise<Ran> {
    const env = { REGISTRY_URL: this.#registry.url, SECURECTL_TOKEN: await this.#registry.key(this.#name) };
    return run(process.execPath, ["src/cli/main.ts", ...args], { env });
  }

  /** A bare request with the key as Basic credentials, for what the programs do not show. */
  async fetch(path: string, { headers = {}, ...init }: Request = {}): Promise<Response> {
    const basic = Buffer.from(`${this.#name}:${await this.#registry.key(this.#name)}`).toString("base64");
    return fetch(`${this.#registry.url}${path}`, { ...init, headers: { ...headers, authorization: `Basic ${basic}` } });
  }
}
