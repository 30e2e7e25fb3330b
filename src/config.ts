import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { type AddressRange, boundsOf, defaultQuotaOf } from "./limit-settings.ts";
import type { Bounds } from "./limits/keeper.ts";
import { type Address, RULES, type Settings, byProxy, hostOf, isLoopback, settings } from "./settings.ts";
import { faultOfOwner } from "./storage/owned-file.ts";

/** What the server is told. It holds no secret, only the paths of files that do. */
export interface Config {
  readonly bind: Address;
  readonly dataDirectory: string;
  /** Undefined: the service token of the data directory. */
  readonly serviceTokenPath: string | undefined;
  readonly lockPath: string;
  readonly integrityResultPath: string;
  readonly insecureDevMode: boolean;
  /** Are the states of a predecessor's manifest taken over that no history proves? */
  readonly allowLegacyMigration: boolean;
  /** As configured, without a trailing slash. */
  readonly publicUrl: string | undefined;
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  readonly tlsTerminatedByProxy: boolean;
  readonly workers: number;
  readonly logLevel: string;
  readonly duties: "standard" | "strict";
  readonly promotionPolicy: "closure" | "predecessor-evidence";
  /** Who signs statements; undefined: the registry, with keys that it makes. */
  readonly signing: ({ readonly by: "command" } & SigningProgram) | ({ readonly by: "token" } & SigningToken) | undefined;
  /** Undefined: the passphrase of the registry's own signing key is derived from its secret. */
  readonly signingPassphrasePath: string | undefined;
  /** Where metrics are served; undefined: nowhere. */
  readonly metrics: { readonly address: Address; readonly tokenPath: string | undefined } | undefined;
  readonly times: Times;
  /** Whose word counts about whom it speaks for. */
  readonly trustedProxies: readonly AddressRange[];
  /** Bytes a second that a body must keep up; zero turns the guard off. */
  readonly minUploadRate: number;
  /** Bytes a second that a check of all blobs reads that nobody asked for; zero: any. */
  readonly verifyRate: number;
  /** What a caller may do in which time, all workers together. */
  readonly limits: Bounds;
  /** What a namespace may hold that has no quota of its own; null: any number. */
  readonly quota: Readonly<Record<"bytes" | "artifacts" | "manifests" | "tags" | "uploads", number | null>>;
}

interface SigningProgram {
  readonly command: string;
  /** The file that holds it. */
  readonly publicKey: string;
}

interface SigningToken {
  /** A path, or a name that is looked for where programs are. */
  readonly tool: string;
  readonly module: string;
  readonly token: string;
  readonly keyId: string;
  /** The file that holds the PIN. */
  readonly pin: string;
}

/** Durations in milliseconds. */
interface Times {
  readonly uploadExpiry: number;
  readonly uploadWindow: number;
  readonly collectInterval: number;
  readonly collectGrace: number;
  readonly snapshotLifetime: number;
  /** Zero: never. */
  readonly verifyInterval: number;
  readonly workerTimeout: number;
  readonly shutdownGrace: number;
  readonly headers: number;
  readonly keepAlive: number;
  readonly idle: number;
}

/** Why the server refuses to start: every reason, a line each. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly reasons: readonly string[];

  constructor(reasons: readonly string[]) {
    super(`the configuration is refused:\n${reasons.map((reason) => `  - ${reason}`).join("\n")}`);
    this.reasons = reasons;
  }
}

/**
 * Variables that begin with REGISTRY_ and are no settings: the file's path, securectl's address of the server, and where podman, buildah and
 * skopeo keep their logins (containers-auth.json(5)), which is set in the shell of many who start a registry, too.
 */
const NOT_SETTINGS: ReadonlySet<string> = new Set(["REGISTRY_CONFIG", "REGISTRY_URL", "REGISTRY_AUTH_FILE"]);

/** Reads the environment and the file that it names; throws `ConfigError` with every reason to refuse. */
export function loadConfig(env: Environment = process.env): Config {
  return configOf(readSettings(env, RULES));
}

/** The data directory for a command that serves nobody, such as a backup: what only serving asks for may be left out. */
export function loadDataDirectory(env: Environment = process.env): string {
  return configOf(readSettings(env, [])).dataDirectory;
}

type Environment = Readonly<Record<string, string | undefined>>;

function readSettings(env: Environment, rules: typeof RULES): Settings {
  const reasons: string[] = [];
  const raw = { ...fromFile(env["REGISTRY_CONFIG"], reasons), ...fromEnvironment(env, reasons) };
  const chosen = understand(raw, rules, reasons);
  if (reasons.length > 0) throw new ConfigError(reasons);
  return chosen;
}

/** The settings as far as they can be understood: what was is judged all the same, so that nobody mends a file one reason at a time. */
function understand(raw: Readonly<Record<string, unknown>>, rules: typeof RULES, reasons: string[]): Settings {
  const { data, error } = settings.safeParse(raw);
  const failed = new Set<string>();
  for (const issue of error?.issues ?? []) {
    const name = String(issue.path[0] ?? "");
    failed.add(name);
    reasons.push(
      issue.code === "unrecognized_keys" ? `unknown in the file: ${shown(issue.keys)}` : `${name.toUpperCase()}: ${issue.message}`,
    );
  }
  const usable = Object.entries(raw).filter(([name]) => Object.hasOwn(settings.shape, name) && !failed.has(name));
  const chosen = data ?? settings.parse(Object.fromEntries(usable));
  for (const rule of rules) if (!rule.about.some((name) => failed.has(name)) && rule.broken(chosen)) reasons.push(rule.reason);
  return chosen;
}

/** An empty variable is one that is not set, as compose files and units write it. */
function fromEnvironment(env: Environment, reasons: string[]): Record<string, string> {
  const names = new Map(Object.keys(settings.shape).map((name) => [name.toUpperCase(), name]));
  const set = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== "");
  const unknown = set.map(([name]) => name).filter((name) => name.startsWith("REGISTRY_") && !names.has(name) && !NOT_SETTINGS.has(name));
  if (unknown.length > 0) {
    reasons.push(
      `unknown in the environment: ${shown(unknown)} (in Kubernetes, enableServiceLinks: false keeps variables of services out)`,
    );
  }
  return Object.fromEntries(set.flatMap(([variable, value]) => (names.has(variable) ? [[names.get(variable) ?? "", value]] : [])));
}

function fromFile(file: string | undefined, reasons: string[]): Record<string, unknown> {
  if (file === undefined || file === "") return {};
  try {
    const text = readOwn(file, reasons);
    if (text === undefined) return {};
    const content: unknown = parse(text, { uniqueKeys: true, maxAliasCount: 0, logLevel: "error" });
    const read = z.record(z.string(), z.unknown()).safeParse(content ?? {});
    if (read.success) return read.data;
    reasons.push("REGISTRY_CONFIG: the file must be a YAML mapping of settings");
  } catch (error) {
    // The parser's message would quote the file, which may hold what is secret.
    const code = error instanceof Error && "code" in error ? String(error.code) : "not readable";
    reasons.push(`REGISTRY_CONFIG: the file cannot be used (${code})`);
  }
  return {};
}

/**
 * The file's text; undefined, with the reason, when somebody else could have written it, since it names programs that are run. Its folder is
 * not asked for: whatever others put there is theirs. O_NONBLOCK: opening a FIFO would wait for somebody to write to it.
 */
function readOwn(file: string, reasons: string[]): string | undefined {
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const found = fstatSync(descriptor);
    const fault = found.isFile() ? faultOfOwner(found) : "is not a regular file";
    if (fault !== undefined) reasons.push(`REGISTRY_CONFIG: the file ${fault}`);
    return fault === undefined ? readFileSync(descriptor, "utf8") : undefined;
  } finally {
    closeSync(descriptor);
  }
}

/** Names come from whoever wrote them: bounded and without control characters. */
function shown(names: readonly string[]): string {
  return names
    .slice(0, 20)
    .map((name) => name.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 64))
    .join(", ");
}

function configOf(chosen: Settings): Config {
  const dataDirectory = resolve(chosen.registry_dir);
  const { tls_cert_path: cert, tls_key_path: key } = chosen;
  return {
    bind: chosen.bind_addr,
    dataDirectory,
    serviceTokenPath: chosen.service_token_path && resolve(chosen.service_token_path),
    lockPath: resolve(chosen.registry_lock_path),
    integrityResultPath: resolve(chosen.integrity_result_path ?? join(dataDirectory, "integrity-last.json")),
    insecureDevMode: chosen.insecure_dev_mode ?? false,
    allowLegacyMigration: chosen.allow_legacy_manifest_migration ?? false,
    publicUrl: chosen.public_url,
    tls: cert !== undefined && key !== undefined ? { cert: resolve(cert), key: resolve(key) } : undefined,
    tlsTerminatedByProxy: byProxy(chosen),
    workers: chosen.workers ?? availableParallelism(),
    logLevel: chosen.log_level,
    duties: chosen.registry_duties,
    promotionPolicy: chosen.registry_promotion_policy,
    signing: signingOf(chosen),
    signingPassphrasePath: chosen.registry_sign_passphrase_path && resolve(chosen.registry_sign_passphrase_path),
    minUploadRate: chosen.registry_min_upload_rate,
    verifyRate: chosen.registry_verify_rate,
    trustedProxies: chosen.registry_trusted_proxies ?? [],
    limits: boundsOf(chosen),
    quota: defaultQuotaOf(chosen),
    metrics: metricsOf(chosen),
    times: {
      uploadExpiry: chosen.registry_upload_expiry,
      uploadWindow: chosen.registry_upload_window,
      collectInterval: chosen.registry_gc_interval,
      collectGrace: chosen.registry_gc_grace,
      snapshotLifetime: chosen.registry_snapshot_lifetime,
      verifyInterval: chosen.registry_verify_interval,
      workerTimeout: chosen.registry_worker_timeout,
      shutdownGrace: chosen.registry_shutdown_grace,
      headers: chosen.registry_headers_timeout,
      keepAlive: chosen.registry_keep_alive_timeout,
      idle: chosen.registry_idle_timeout,
    },
  };
}

function signingOf(chosen: Settings): Config["signing"] {
  const { registry_sign_command: command, registry_sign_public_key: publicKey } = chosen;
  if (command !== undefined && publicKey !== undefined) return { by: "command", command: resolve(command), publicKey: resolve(publicKey) };
  const token = tokenOf(chosen);
  return token && { by: "token", ...token };
}

function tokenOf({
  registry_sign_token_module: module,
  registry_sign_token_label: token,
  registry_sign_token_key_id: keyId,
  registry_sign_token_pin_path: pin,
  registry_sign_token_tool: tool,
}: Settings): SigningToken | undefined {
  if (module === undefined || token === undefined || keyId === undefined || pin === undefined) return undefined;
  return { tool: tool.includes("/") ? resolve(tool) : tool, module: resolve(module), token, keyId, pin: resolve(pin) };
}

function metricsOf({ registry_metrics_addr: address, registry_metrics_token_path: path }: Settings): Config["metrics"] {
  return address === undefined ? undefined : { address, tokenPath: path && resolve(path) };
}

/** Is the registry for this machine alone: nobody comes through a proxy, and clients call it by a name of loopback (RULES 19)? */
export function isLocal({ bind, publicUrl, tlsTerminatedByProxy }: Config): boolean {
  return !tlsTerminatedByProxy && isLoopback(publicUrl === undefined ? bind.host : hostOf(publicUrl));
}

/** The configuration line by line, for people: it holds no secret, only the paths of files that do. */
export function configRows(config: Config): readonly (readonly [string, string])[] {
  return rowsOf(config, []);
}

function rowsOf(value: unknown, path: readonly string[]): readonly (readonly [string, string])[] {
  if (value === undefined || value === null) return [[path.join("."), "not set"]];
  if (typeof value !== "object") return [[path.join("."), typeof value === "string" ? value : JSON.stringify(value)]];
  if (Array.isArray(value)) return [[path.join("."), value.map((each) => JSON.stringify(each)).join(", ") || "none"]];
  return Object.entries(value).flatMap(([name, inner]) => rowsOf(inner, [...path, name]));
}
