import type { Command } from "commander";
import { type Credential, DEFAULT_DIRECTORY, type Role, findCredential } from "./credential.ts";
import { NativeClient } from "./client.ts";
import { CliError, EXIT } from "./failure.ts";
import { RegistryClient } from "./registry-client.ts";
import { DEFAULT_URL, parseServerUrl } from "./server-url.ts";
import { type Streams, Terminal } from "./terminal.ts";

/** Options that every command has. */
export interface GlobalOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly tokenFile?: string;
  readonly server?: string;
}

/** Opens what a command works with, from its options and those of the program. */
export type OpenSession = (command: Command) => Session;

/** One run of a command: where it writes, which registry it means and with what credential it goes there. */
export class Session {
  readonly terminal: Terminal;
  readonly json: boolean;
  readonly server: URL;
  readonly #options: GlobalOptions;
  readonly #env: NodeJS.ProcessEnv;
  readonly #credentials = new Map<string, Promise<Credential | undefined>>();
  readonly #told = new Set<string>();

  constructor(options: GlobalOptions, env: NodeJS.ProcessEnv, streams: Streams) {
    this.#options = options;
    this.#env = env;
    this.terminal = new Terminal(streams, { quiet: options.quiet ?? false });
    this.json = options.json ?? false;
    this.server = parseServerUrl(options.server ?? (env["REGISTRY_URL"] || DEFAULT_URL));
  }

  /** The data directory of a registry on this machine, as the server takes it from the same environment. */
  get dataDirectory(): string {
    return this.#env["REGISTRY_DIR"] || DEFAULT_DIRECTORY;
  }

  /** The registry as an OCI client sees it; `role` says whose key is taken where none is given. */
  async registry(role: Role): Promise<RegistryClient> {
    return this.#client(await this.credential(role, true));
  }

  /** The registry's native API. */
  async native(role: Role): Promise<NativeClient> {
    return new NativeClient(this.#client(await this.credential(role, false)));
  }

  /** The registry's API for a caller who shows no credential. */
  nobody(): NativeClient {
    return new NativeClient(this.#client(undefined));
  }

  /** The registry's API for who has this credential. */
  clientOf(credential: Credential): NativeClient {
    return new NativeClient(this.#client(credential));
  }

  /** The credential for a role. What nobody named on the command line or in the environment is told on stderr. */
  async credential(role: Role, distribution: boolean): Promise<Credential | undefined> {
    const found = await this.findCredential(role, distribution);
    const using = `Using the credential of ${found?.source ?? ""}.`;
    if (found?.found === "looked for") this.#once(using, () => this.terminal.say(using));
    return found;
  }

  /** As `credential`, without telling. It is looked for once: a token file may be standard input, which can be read once only. */
  async findCredential(role: Role, distribution: boolean): Promise<Credential | undefined> {
    const key = this.#options.tokenFile === undefined ? `${role} ${distribution}` : "given";
    const found = this.#credentials.get(key) ?? this.#find(role, distribution);
    this.#credentials.set(key, found);
    return found;
  }

  async #find(role: Role, distribution: boolean): Promise<Credential | undefined> {
    return findCredential({
      server: this.server,
      role,
      distribution,
      tokenFile: this.#options.tokenFile,
      env: this.#env,
      stdin: this.terminal.streams.stdin,
      warn: (message) => this.#once(message, () => this.terminal.warn(message)),
    });
  }

  /** One credential may serve a command in several roles. */
  #once(message: string, tell: () => void): void {
    if (!this.#told.has(message)) tell();
    this.#told.add(message);
  }

  /** Writes a result: one JSON document, or what is for people. */
  show(value: unknown, text: () => string): void {
    if (this.json) this.terminal.printJson(value);
    else this.terminal.print(text());
  }

  /** Asks a person before something is destroyed. Without a terminal there is nobody to ask, and scripts go on. */
  async confirm(question: string, yes: boolean | undefined): Promise<void> {
    if (yes === true || !this.terminal.interactive) return;
    const answer = await this.terminal.ask(`${question} Type "yes" to go on: `);
    if (answer.trim().toLowerCase() !== "yes") throw new CliError(EXIT.failure, "Nothing was changed.");
  }

  #client(credential: Credential | undefined): RegistryClient {
    return new RegistryClient({ origin: this.server, credential, warn: (text) => this.terminal.warn(`warning: ${text}`) });
  }
}
