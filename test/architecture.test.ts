import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { expect, test } from "vitest";

const PURE = ["oci", "formats", "identity", "trust", "lifecycle", "policy", "audit", "api", "metrics", "limits"];
const OUTSIDE = ["storage", "vault", "scan"];
const USE_CASES = ["registry", "jobs"];
const DELIVERY = ["ui", "http", "cli"];
const FOLDERS = [...PURE, ...OUTSIDE, ...USE_CASES, ...DELIVERY];

/** Folder or root file → what it may import besides itself. A row names only earlier rows, so folder cycles cannot exist. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  "end-signals": [],
  "line-output": [],
  log: ["line-output"],
  metrics: [],
  limits: [],
  oci: [],
  formats: ["oci"],
  identity: ["oci"],
  trust: ["oci"],
  lifecycle: ["oci", "formats"],
  policy: ["oci", "formats", "identity", "trust", "lifecycle"],
  audit: ["oci", "identity", "lifecycle"],
  api: ["oci", "lifecycle", "audit"],
  storage: ["oci", "identity", "lifecycle", "audit", "log"],
  vault: ["oci", "storage"],
  scan: ["oci", "formats", "log"],
  registry: ["oci", "formats", "identity", "trust", "lifecycle", "policy", "audit", "storage", "scan", "log", "metrics", "limits"],
  jobs: ["oci", "lifecycle", "audit", "storage", "registry", "log"],
  ui: ["oci", "lifecycle", "api"],
  http: ["oci", "identity", "lifecycle", "api", "registry", "ui", "log", "metrics", "limits"],
  cli: ["oci", "formats", "trust", "lifecycle", "policy", "audit", "api", "scan", "log"],
  "setting-types": [],
  "limit-settings": ["limits", "setting-types"],
  settings: ["oci", "setting-types", "limit-settings"],
  config: ["oci", "limits", "limit-settings", "settings", "storage"],
  die: [],
  services: [...FOLDERS, "config", "die", "log"],
  "next-steps": [],
  "start-error": [],
  "passed-sockets": ["start-error"],
  "service-manager": ["log"],
  listening: ["settings"],
  version: [],
  "metrics-listener": ["metrics", "listening", "log", "settings"],
  "primary-limits": ["limits", "log"],
  worker: [...FOLDERS, "config", "die", "services", "listening", "primary-limits", "version", "log", "line-output", "end-signals"],
  "untaken-connections": [],
  workers: ["config", "listening", "worker", "start-error", "log", "metrics", "limits", "untaken-connections"],
  primary: [
    ...FOLDERS,
    "settings",
    "config",
    "services",
    "next-steps",
    "workers",
    "start-error",
    "passed-sockets",
    "service-manager",
    "metrics-listener",
    "version",
    "log",
    "line-output",
    "end-signals",
  ],
  "command-line": [],
  refusal: ["registry", "storage", "command-line", "config", "start-error"],
  "backup-command": ["command-line", "registry", "storage", "config", "start-error", "log"],
  main: [
    ...FOLDERS,
    "command-line",
    "backup-command",
    "refusal",
    "config",
    "services",
    "start-error",
    "passed-sockets",
    "service-manager",
    "primary",
    "version",
    "worker",
    "log",
    "line-output",
  ],
};
/** What pure folders may take from Node, and what they must not touch: clocks, chance, the process, the network. */
const PURE_NODE = new Set(["node:crypto", "node:util", "node:assert"]);
const IMPURE = /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\brandom(?:Bytes|UUID|Int)\b|\bprocess\.|\bfetch\(/;
/** npm package → where it may be imported. A package that is not here may be imported nowhere. */
const MAY_USE: Readonly<Record<string, readonly string[]>> = {
  zod: Object.keys(MAY_IMPORT),
  "@sigstore/bundle": ["trust"],
  "@sigstore/core": ["trust"],
  "@sigstore/protobuf-specs": ["trust"],
  "@sigstore/verify": ["trust"],
  "@sigstore/tuf": ["cli"],
  jose: ["identity", "trust", "services"],
  hono: ["http", "ui"],
  "@hono/node-server": ["http"],
  commander: ["cli"],
  lmdb: ["storage"],
  pg: ["storage"],
  pino: ["log"],
  yaml: ["config", "audit", "policy"],
};

const files = readdirSync("src", { recursive: true, encoding: "utf8" })
  .map((file) => file.replaceAll("\\", "/"))
  .filter((file) => file.endsWith(".ts"));
const textOf = (file: string): string => readFileSync(join("src", file), "utf8");
const layerOf = (file: string): string => (file.includes("/") ? (file.split("/")[0] ?? "") : file.replace(/\.ts$/, ""));

/** Statements at the beginning of a line, as the formatter writes them, and `import(…)` anywhere, in any quotes. */
const IMPORT = /^(?:import|export)\b[^;"'`]*?\bfrom\s*["']([^"']+)["']|^import\s*["']([^"']+)["']|\bimport\s*\(\s*["'`]([^"'`]*)/gm;

function importsOf(file: string): string[] {
  return [...textOf(file).matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? match[3] ?? "");
}

function mayImport(file: string, specifier: string): boolean {
  const layer = layerOf(file);
  if (specifier.startsWith(".")) {
    const target = layerOf(normalize(join(dirname(file), specifier)).replaceAll("\\", "/"));
    return target === layer || (MAY_IMPORT[layer] ?? []).includes(target);
  }
  if (specifier.startsWith("node:")) return !PURE.includes(layer) || PURE_NODE.has(specifier);
  const name = Object.keys(MAY_USE).find((known) => specifier === known || specifier.startsWith(`${known}/`));
  return name !== undefined && (MAY_USE[name] ?? []).includes(layer);
}

test("every folder and root file of src/ has a row", () => {
  expect(files.map(layerOf).filter((layer) => !(layer in MAY_IMPORT))).toEqual([]);
});

test("a row names only earlier rows", () => {
  const order = Object.keys(MAY_IMPORT);
  const late = order.filter((layer, at) => (MAY_IMPORT[layer] ?? []).some((target) => order.indexOf(target) >= at));
  expect(late).toEqual([]);
});

test.each(files)("%s imports only what its layer may", (file) => {
  expect(importsOf(file).filter((specifier) => !mayImport(file, specifier))).toEqual([]);
});

test.each(files.filter((file) => PURE.includes(layerOf(file))))("%s reads no clock, chance or process", (file) => {
  expect(IMPURE.exec(textOf(file))?.[0]).toBeUndefined();
});

test("the scripts run on the Node that package.json pins, on every platform the same", () => {
  const { optionalDependencies } = JSON.parse(readFileSync("package.json", "utf8")) as { optionalDependencies: Record<string, string> };
  expect(new Set(Object.values(optionalDependencies))).toEqual(new Set([process.versions.node]));
});
