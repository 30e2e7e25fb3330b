import { z } from "zod";
import { limitSettings } from "./limit-settings.ts";
import { computed, count } from "./setting-types.ts";

/** Where to listen. */
export interface Address {
  /** Without brackets; empty for every address of the machine. */
  readonly host: string;
  readonly port: number;
}

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A duration such as `30s`, `24h` or `7d`, in milliseconds. */
const duration = z
  .string({ error: "must be a duration such as 30s, 15m, 24h or 7d" })
  .regex(/^[1-9]\d{0,8}(?:ms|s|m|h|d)$/, "must be a duration such as 30s, 15m, 24h or 7d")
  .transform((text) => Number.parseInt(text, 10) * UNITS[z.enum(["ms", "s", "m", "h", "d"]).parse(text.replace(/^\d+/, ""))])
  .refine((milliseconds) => milliseconds <= 365 * UNITS.d, "must be at most 365d");
/** One that a timer waits for in one go: beyond 2³¹ milliseconds Node's timers fire at once. */
const timerDuration = duration.refine((milliseconds) => milliseconds <= 24 * UNITS.d, "must be at most 24d");

/** One that may also be left out for good. */
const durationOrNever = z.union([z.literal([0, "0"]).transform(() => 0), duration], {
  error: "must be a duration such as 24h or 7d, or 0 for never",
});

const flag = z
  .union([z.boolean(), z.enum(["true", "false"])], { error: "must be true or false" })
  .transform((value) => value === true || value === "true");

const path = z
  .string({ error: "must be a path" })
  .min(1, "must be a path")
  .max(4096, "must be a path")
  .refine((text) => !text.includes("\0"), "must be a path");

const address = z
  .string({ error: "must be <host>:<port>" })
  .regex(/^(?:\[[0-9a-fA-F:.%]+\]|[0-9a-zA-Z.-]*):\d{1,5}$/, "must be <host>:<port>, such as 127.0.0.1:8470 or [::1]:8470")
  .transform((text): Address => {
    const colon = text.lastIndexOf(":");
    return { host: text.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(text.slice(colon + 1)) };
  })
  .refine(({ port }) => port <= 65_535, "the port must be at most 65535");

const origin = z
  .string({ error: "must be a URL" })
  .refine(isOrigin, "must be http:// or https://, a host and perhaps a port: no credentials, path, query or fragment")
  .transform((text) => new URL(text).origin);

function isOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  return ["http:", "https:"].includes(url.protocol) && (text === url.origin || text === `${url.origin}/`);
}

/** Every setting: a key of the file, and in capitals a variable of the environment. */
export const settings = z.strictObject({
  bind_addr: address.prefault("127.0.0.1:8470").describe("address and port; port 0 picks a free one and logs it"),
  registry_dir: path.default("./data").describe("the data directory"),
  service_token_path: path
    .optional()
    .register(computed, { fallback: "<REGISTRY_DIR>/credentials/service-token" })
    .describe("file of the single token of the predecessor's API; valid on `/v1` only"),
  registry_lock_path: path
    .default("/etc/secure-ai/policy/models.lock.yaml")
    .describe("lock file with the first models of an empty store; none if there is no such file"),
  integrity_result_path: path
    .optional()
    .register(computed, { fallback: "<REGISTRY_DIR>/integrity-last.json" })
    .describe("file for the result of the last check of all blobs"),
  insecure_dev_mode: z
    .union([z.literal(true), z.literal("true")], { error: 'only the exact text "true" turns it on; leave it out otherwise' })
    .transform(() => true)
    .optional()
    .describe("exactly `true`: without a service token, programs of this machine may change what `/v1` registers; loud"),
  allow_legacy_manifest_migration: z
    .union([z.literal(true), z.literal("true")], { error: 'only the exact text "true" turns it on; leave it out otherwise' })
    .transform(() => true)
    .optional()
    .describe("exactly `true`: a predecessor's `manifest.json` without audit history is believed what it calls trusted"),
  public_url: origin
    .optional()
    .register(computed, { fallback: "the loopback name that the client used" })
    .describe("what clients call the registry, such as `https://registry.example`; logins are sent there"),
  tls_cert_path: path.optional().describe("PEM file with the certificate chain; read again when it changes"),
  tls_key_path: path.optional().describe("PEM file with its private key; read again when it changes"),
  tls_terminated_by_proxy: flag
    .prefault(false)
    .describe("`true` states that a proxy in front does TLS; a bind off loopback needs it, or TLS here"),
  allow_remote_bind: flag.prefault(false).describe("the predecessor's name of TLS_TERMINATED_BY_PROXY"),
  workers: count(1, 256).optional().register(computed, { fallback: "number of cores" }).describe("processes that serve"),
  log_level: z
    .enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"], {
      error: "must be fatal, error, warn, info, debug, trace or silent",
    })
    .default("info")
    .describe("least severe lines that are logged"),
  registry_duties: z
    .enum(["standard", "strict"], { error: "must be standard or strict" })
    .default("standard")
    .describe("separation of duties: under `strict` an identity without a person behind it neither pushes nor promotes"),
  registry_promotion_policy: z
    .enum(["closure", "predecessor-evidence"], { error: "must be closure or predecessor-evidence" })
    .default("closure")
    .describe("what a promotion needs: all bytes, or under `predecessor-evidence` scanner results besides, each `pass`"),
  registry_sign_command: path
    .optional()
    .describe("program that signs statements: bytes on standard input, the signature (ECDSA P-256, SHA-256, DER) on standard output"),
  registry_sign_public_key: path.optional().describe("PEM file with the public key of that program"),
  registry_sign_token_module: path.optional().describe("PKCS #11 module (a shared library) of the token that signs statements"),
  registry_sign_token_label: z
    .string({ error: "must be the label of a token" })
    .regex(/^[\x20-\x7e]{1,32}$/, "must be the label of a token: 1 to 32 printable characters")
    .optional()
    .describe("label of that token"),
  registry_sign_token_key_id: z
    .string({ error: "must be the id of a key in hexadecimal, in quotes" })
    .regex(/^(?:[0-9a-fA-F]{2}){1,64}$/, "must be the id of a key in hexadecimal")
    .optional()
    .describe("CKA_ID of its key pair (ECDSA P-256), in hexadecimal"),
  registry_sign_token_pin_path: path.optional().describe("file with its user PIN"),
  registry_sign_token_tool: path.default("pkcs11-tool").describe("OpenSC's program by which the token is reached"),
  registry_sign_passphrase_path: path
    .optional()
    .register(computed, { fallback: "derived from the registry's secret" })
    .describe("file with the passphrase of the signing key that the registry keeps"),
  registry_snapshot_lifetime: duration
    .prefault("30d")
    .describe("an export may be relied on for so long: what is revoked meanwhile, whoever checks it offline cannot know"),
  registry_upload_expiry: duration.prefault("7d").describe("an upload that nobody went on with for so long is removed"),
  registry_gc_interval: duration.prefault("1h").describe("time between two runs of the collector"),
  registry_gc_grace: duration
    .prefault("24h")
    .describe("content that no artifact names is kept for so long after its last use; longer than a push takes"),
  registry_verify_interval: durationOrNever.prefault("7d").describe("time between two checks of all blobs that nobody asked for; 0: never"),
  registry_verify_rate: count(0, 1_000_000_000_000).prefault(52_428_800).describe("bytes a second that such a check reads at most; 0: any"),
  registry_metrics_addr: address.optional().describe("address and port of `GET /metrics` for Prometheus; off loopback it needs a token"),
  registry_metrics_token_path: path.optional().describe("file of the token that `GET /metrics` asks for, as a bearer token"),
  registry_worker_timeout: timerDuration.prefault("60s").describe("a worker that does not answer the others for so long is replaced"),
  registry_shutdown_grace: timerDuration.prefault("30s").describe("time that requests get to end when the server stops"),
  registry_min_upload_rate: count(0, 1_000_000_000).prefault(4096).describe("bytes a second that a request body must keep up; 0: any"),
  registry_upload_window: timerDuration.prefault("30s").describe("time over which that rate is averaged, and the grace at the beginning"),
  registry_headers_timeout: timerDuration.prefault("30s").describe("time that a request's headers may take"),
  registry_keep_alive_timeout: timerDuration.prefault("75s").describe("an idle connection is kept for so long; longer than the proxy's"),
  registry_idle_timeout: timerDuration.prefault("120s").describe("a client that takes no byte of its answer for so long is cut off"),
  ...limitSettings,
});
export type Settings = z.infer<typeof settings>;
type Name = keyof Settings;

/** What names a key in a token. */
const TOKEN = [
  "registry_sign_token_module",
  "registry_sign_token_label",
  "registry_sign_token_key_id",
  "registry_sign_token_pin_path",
] as const;

/** What is unsafe or makes no sense together, judged only when every setting that a rule is about was understood. */
export const RULES: readonly {
  readonly about: readonly Name[];
  readonly broken: (chosen: Settings) => boolean;
  readonly reason: string;
}[] = [
  {
    about: ["tls_cert_path", "tls_key_path"],
    broken: ({ tls_cert_path: cert, tls_key_path: key }) => (cert === undefined) !== (key === undefined),
    reason: "TLS_CERT_PATH, TLS_KEY_PATH: one without the other does not make TLS; set both or none",
  },
  {
    about: ["bind_addr", "tls_cert_path", "tls_key_path", "tls_terminated_by_proxy", "allow_remote_bind"],
    broken: (chosen) => !isLoopback(chosen.bind_addr.host) && chosen.tls_cert_path === undefined && !byProxy(chosen),
    reason:
      "BIND_ADDR: an address off loopback needs TLS_CERT_PATH and TLS_KEY_PATH, or TLS_TERMINATED_BY_PROXY=true when a proxy in front does TLS",
  },
  {
    about: ["bind_addr", "public_url"],
    broken: ({ bind_addr: { host }, public_url: url }) => isWildcard(host) && url === undefined,
    reason: "BIND_ADDR: an address for every interface needs PUBLIC_URL, since the registry cannot know what clients call it",
  },
  {
    about: ["bind_addr", "public_url", "tls_terminated_by_proxy", "allow_remote_bind"],
    broken: (chosen) => byProxy(chosen) && !isLoopback(chosen.bind_addr.host) && chosen.public_url === undefined,
    reason: "TLS_TERMINATED_BY_PROXY: needs PUBLIC_URL, the address of the proxy, where clients are to send their logins",
  },
  {
    about: ["public_url"],
    broken: ({ public_url: url }) => url !== undefined && url.startsWith("http:") && !isLoopback(hostOf(url)),
    reason: "PUBLIC_URL: must be https, since clients send credentials there; plain http is for loopback only",
  },
  {
    about: ["public_url", "tls_cert_path"],
    broken: ({ public_url: url, tls_cert_path: cert }) => url !== undefined && url.startsWith("http:") && cert !== undefined,
    reason: "PUBLIC_URL: must be https when the registry does TLS itself",
  },
  {
    about: ["registry_sign_command", "registry_sign_public_key"],
    broken: ({ registry_sign_command: command, registry_sign_public_key: key }) => (command === undefined) !== (key === undefined),
    reason: "REGISTRY_SIGN_COMMAND, REGISTRY_SIGN_PUBLIC_KEY: a program that signs is known by its public key; set both or none",
  },
  {
    about: TOKEN,
    broken: (chosen) => new Set(TOKEN.map((name) => chosen[name] === undefined)).size > 1,
    reason:
      "REGISTRY_SIGN_TOKEN_MODULE, REGISTRY_SIGN_TOKEN_LABEL, REGISTRY_SIGN_TOKEN_KEY_ID, REGISTRY_SIGN_TOKEN_PIN_PATH: a key in a token is named by all of them; set all or none",
  },
  {
    about: ["registry_sign_command", "registry_sign_token_module"],
    broken: (chosen) => chosen.registry_sign_command !== undefined && chosen.registry_sign_token_module !== undefined,
    reason: "REGISTRY_SIGN_COMMAND, REGISTRY_SIGN_TOKEN_MODULE: one key signs; set one of them",
  },
  {
    about: ["registry_metrics_addr", "registry_metrics_token_path"],
    broken: ({ registry_metrics_addr: at, registry_metrics_token_path: token }) =>
      at !== undefined && !isLoopback(at.host) && token === undefined,
    reason: "REGISTRY_METRICS_ADDR: an address off loopback needs REGISTRY_METRICS_TOKEN_PATH",
  },
  {
    about: ["insecure_dev_mode", "bind_addr", "public_url", "tls_terminated_by_proxy", "allow_remote_bind"],
    broken: ({ insecure_dev_mode: on, bind_addr: { host }, public_url: url }) =>
      on === true && !(isLoopback(host) && (url === undefined || isLoopback(hostOf(url)))),
    reason: "INSECURE_DEV_MODE: is for loopback only; BIND_ADDR and PUBLIC_URL must be loopback, or it must be left out",
  },
];

/** Is TLS done by a proxy in front, in either of the words for it? */
export function byProxy(chosen: Settings): boolean {
  return chosen.tls_terminated_by_proxy || chosen.allow_remote_bind;
}

/** The host of a URL, without brackets. */
export function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, "");
}

/** Is this host reachable from this machine alone? Other names than `localhost` could resolve to anything. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

/** Is this host every address of the machine? */
export function isWildcard(host: string): boolean {
  return host === "" || host === "0.0.0.0" || /^[0:]+$/.test(host);
}

/** JSON Schema of the configuration file. */
export function fileSchema(): Record<string, unknown> {
  return z.toJSONSchema(settings, { io: "input" });
}

const described = z.record(
  z.string(),
  z.looseObject({ description: z.string(), default: z.union([z.string(), z.number(), z.boolean()]).optional() }),
);

/** Every setting as the documentation shows it: the variable, its default and its meaning. */
export function settingsTable(): readonly { readonly name: string; readonly fallback: string; readonly meaning: string }[] {
  const properties = described.parse(fileSchema()["properties"]);
  return Object.entries(settings.shape).map(([name, schema]) => {
    const { description, default: fixed } = properties[name] ?? { description: "" };
    const fallback = computed.get(schema)?.fallback ?? (fixed === undefined ? "unset" : `${fixed}`);
    return { name: name.toUpperCase(), fallback, meaning: description };
  });
}
