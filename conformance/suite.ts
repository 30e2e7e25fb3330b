import { parse } from "yaml";
import { z } from "zod";

/** A version of the specification, by the suite's name, and how many checks it must run at the least. */
export interface SuiteVersion {
  readonly version: "1.1" | "dev";
  readonly least: number;
}

/** With its default switches the pinned suite runs 848 and 990 checks; with every one on it runs the same 1032 in both versions. */
export const SUITE_VERSIONS: readonly SuiteVersion[] = [
  { version: "1.1", least: 1032 },
  { version: "dev", least: 1032 },
];

/** The suite's switches, in its own order of nesting. */
const SWITCHES = {
  API: ["PING", "PULL", "PUSH", "REFERRER"],
  API_BLOBS: ["ATOMIC", "DELETE", "DIGEST_HEADER", "MOUNT_ANONYMOUS", "UPLOAD_CANCEL"],
  API_MANIFESTS: ["ATOMIC", "DELETE", "DIGEST_HEADER", "TAG_PARAM"],
  API_TAGS: ["ATOMIC", "DELETE", "LIST"],
  DATA: [
    "IMAGE",
    "INDEX",
    "INDEX_LIST",
    "SPARSE",
    "ARTIFACT",
    "SUBJECT",
    "SUBJECT_MISSING",
    "ARTIFACT_LIST",
    "SUBJECT_LIST",
    "DATA_FIELD",
    "NONDISTRIBUTABLE",
    "CUSTOM_FIELDS",
    "NO_LAYERS",
    "EMPTY_BLOB",
    "SHA512",
  ],
};

/** Every switch of the suite, on, as environment variables; `judge` finds a switch that a later suite adds. */
export const ALL_SWITCHES: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(SWITCHES).flatMap(([group, names]) => names.map((name) => [`OCI_${group}_${name}`, "true"] as const)),
);

interface Check {
  readonly name: string;
  readonly status: string;
  readonly reason: string;
}

/** What the suite's junit.xml says: its own totals, and each check. */
export interface SuiteReport {
  readonly total: number;
  readonly failed: number;
  readonly skipped: number;
  readonly disabled: number;
  readonly checks: readonly Check[];
}

const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

function unescapeXml(text: string): string {
  return text.replace(/&(?:#x([0-9A-Fa-f]+)|#(\d+)|(\w+));/g, (whole, hex?: string, decimal?: string, name?: string) => {
    if (name !== undefined) return ENTITIES[name] ?? whole;
    return String.fromCodePoint(hex === undefined ? Number(decimal) : Number.parseInt(hex, 16));
  });
}

function attributesOf(tag: string): Readonly<Record<string, string>> {
  return Object.fromEntries([...tag.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, name, value]) => [name ?? "", unescapeXml(value ?? "")]));
}

/** Random digests stand in no name of a check, but a later suite may put them there; names are compared without the suite's own title. */
function checkName(name: string): string {
  return name.replace(/^OCI Conformance Test\//, "").replace(/(sha(?:256|512)):[0-9a-f]+/g, "$1:*");
}

/** Reads junit.xml. Throws when it is not the suite's. */
export function readReport(junit: string): SuiteReport {
  const suites = /<testsuites\b[^>]*>/.exec(junit)?.[0];
  if (suites === undefined) throw new Error("junit.xml holds no <testsuites>: the suite did not finish");
  const totals = attributesOf(suites);
  const count = (name: string): number => Number(totals[name] ?? "0");
  const checks = [...junit.matchAll(/<testcase\b([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g)].map(([, head = "", body = ""]) => {
    const { name = "", status = "" } = attributesOf(head);
    const reason = unescapeXml(/<system-out>([\s\S]*?)<\/system-out>/.exec(body)?.[1] ?? "");
    return { name: checkName(name), status, reason };
  });
  return {
    total: count("tests"),
    failed: count("failures") + count("errors"),
    skipped: count("skipped"),
    disabled: count("disabled"),
    checks,
  };
}

type Switches = { readonly [name: string]: boolean | Switches };
const switchesSchema: z.ZodType<Switches> = z.lazy(() => z.record(z.string(), z.union([z.boolean(), switchesSchema])));
const resultsSchema = z.object({
  config: z.object({ version: z.string(), apis: switchesSchema, data: switchesSchema }),
  apis: z.record(z.string(), z.string()),
  data: z.record(z.string(), z.string()),
});

function switchesOff(switches: Switches, path: string): string[] {
  return Object.entries(switches).flatMap(([name, value]) => {
    if (typeof value !== "boolean") return switchesOff(value, `${path}.${name}`);
    return value ? [] : [`${path}.${name}`];
  });
}

/** What is wrong by results.yaml: a switch that is off, an API or a kind of data that did not pass, another version than asked for. */
function judgeResults(results: string, version: string): string[] {
  const { config, apis, data } = resultsSchema.parse(parse(results));
  const off = [...switchesOff(config.apis, "apis"), ...switchesOff(config.data, "data")].map((name) => `switched off: ${name}`);
  const notPassed = [...Object.entries(apis), ...Object.entries(data)]
    .filter(([, status]) => status !== "Pass")
    .map(([name, status]) => `${status}: ${name}`);
  return [...(config.version === version ? [] : [`the suite ran version ${config.version} instead of ${version}`]), ...off, ...notPassed];
}

/** The distinct names of the checks that ran, in order. */
export function checkNames(report: SuiteReport): readonly string[] {
  return [...new Set(report.checks.map((check) => check.name))].toSorted();
}

/** What the two files of a run must show. */
export interface Expected extends SuiteVersion {
  /** Checks that must have run, by name. */
  readonly checks: readonly string[];
}

/** Every reason why a run does not count as passed; none when it does. The exit code of the suite is not asked. */
export function judge(report: SuiteReport, results: string, expected: Expected): readonly string[] {
  const ran = new Set(checkNames(report));
  const known = new Set(expected.checks);
  const totals = (["failed", "skipped", "disabled"] as const).filter((name) => report[name] !== 0);
  return [
    ...totals.map((name) => `${report[name]} ${name}`),
    ...(report.total < expected.least ? [`only ${report.total} checks ran, at least ${expected.least} must`] : []),
    ...report.checks.filter(({ status }) => status !== "passed").map(({ name, status, reason }) => `${status}: ${name}\n${indent(reason)}`),
    ...expected.checks.filter((name) => !ran.has(name)).map((name) => `did not run: ${name}`),
    ...[...ran].filter((name) => !known.has(name)).map((name) => `ran but is not in conformance/checks.txt: ${name}`),
    ...judgeResults(results, expected.version),
  ];
}

function indent(text: string): string {
  return text
    .split("\n")
    .slice(0, 6)
    .map((line) => `      ${line.slice(0, 300)}`)
    .join("\n");
}
