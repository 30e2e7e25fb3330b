import { PassThrough } from "node:stream";
import { existsSync, readFileSync } from "node:fs";
import type { AnySchema } from "ajv";
import type { Command } from "commander";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { createProgram } from "../../src/cli/program.ts";
import { conditionSchema } from "../../src/policy/condition.ts";
import { parsePolicy } from "../../src/policy/document.ts";
import { scanChecks } from "../../src/policy/scan-evidence.ts";
import { scanRequirement } from "../../src/policy/written.ts";
import { createValidator } from "../support/contract.ts";

const PAGE = readFileSync("src/policy/README.md", "utf8");
const policies = [...PAGE.matchAll(/<!-- policy -->\s+```yaml\n([^]*?)```/g)].map(([, text = ""]) => ({
  name: /name: ([\w-]+) \}/.exec(text)?.[1] ?? "",
  text,
}));

const named = (name: string): ReturnType<typeof parsePolicy> => {
  const { text } = policies.find((policy) => policy.name === name) ?? { text: "" };
  return parsePolicy(Buffer.from(text), "yaml");
};

test("every YAML of the page is an example of a policy", () => {
  expect(policies.length).toBeGreaterThan(3);
  expect([...PAGE.matchAll(/```yaml/g)]).toHaveLength(policies.length);
});

test.each(policies)("the policy $name of the page is one, by the program and by the published schema", ({ name, text }) => {
  const validate = createValidator().compile(JSON.parse(readFileSync("schemas/trust-policy.schema.json", "utf8")) as AnySchema);
  expect([validate(parse(text)), validate.errors]).toEqual([true, null]);
  expect(parsePolicy(Buffer.from(text), "yaml").metadata.name).toBe(name);
});

test("the page's words for the predecessor's rule ask for what that rule asks for", () => {
  const { evidence } = named("predecessor-evidence").spec.require[0] ?? {};
  const texts = fc.dictionary(fc.constantFrom("a", "b", "__proto__"), fc.constantFrom("", "pass", "fail", "1"), { maxKeys: 3 });
  const scan = fc.record({
    scan_results: texts,
    scanner_versions: texts,
    policy_version: fc.constantFrom("", "1"),
    source_revision: fc.string(),
  });
  fc.assert(
    fc.property(scan, (stated) => {
      const rule = scanChecks(stated).every(({ status }) => status === "pass");
      expect(evidence?.kind === "scan-results" && scanRequirement("scans", evidence, stated).met).toBe(rule);
    }),
  );
});

function firstColumn(heading: string): readonly string[] {
  const table = PAGE.split(`| ${heading}`)[1]?.split("\n\n")[0] ?? "";
  return [...table.matchAll(/^\| `([\w-]+)`/gm)].map(([, cell = ""]) => cell);
}

describe("the page names", () => {
  test("every kind of evidence, type of authority and condition, and no other", () => {
    const schema = JSON.parse(readFileSync("schemas/trust-policy.schema.json", "utf8")) as object;
    const constants = (member: string): readonly string[] => [
      ...new Set(
        [...JSON.stringify(schema).matchAll(new RegExp(`"${member}":\\{"type":"string","const":"([\\w-]+)"`, "g"))].map(
          ([, name = ""]) => name,
        ),
      ),
    ];
    expect(firstColumn("`kind`").toSorted()).toEqual(
      constants("kind")
        .filter((kind) => kind !== "TrustPolicy")
        .toSorted(),
    );
    expect(firstColumn("`type`").toSorted()).toEqual(constants("type").toSorted());
    expect(firstColumn("`op`").toSorted()).toEqual(conditionSchema.options.map(({ shape }) => shape.op.value).toSorted());
  });

  test("commands and options of securectl that there are", () => {
    const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() };
    const program = createProgram("1.0.0", streams, () => {
      throw new Error("nothing is run");
    });
    const lines = [...PAGE.matchAll(/(?:^|`)(?:securectl )((?:policy|trust) [a-z][^`\n#]*)/gm)].map(([, line = ""]) => line.trim());
    expect(lines.length).toBeGreaterThan(8);
    const unknown = lines.flatMap((line) => {
      const [group = "", name = "", ...words] = line.split(/\s+/);
      const command = commandIn(commandIn(program, group), name);
      const options = words.filter((word) => word.startsWith("--"));
      const known = new Set([...(command?.options ?? []), ...program.options].map(({ long }) => long));
      return command === undefined ? [line] : options.filter((option) => !known.has(option));
    });
    expect(unknown).toEqual([]);
  });

  test("files that there are", () => {
    const files = [...PAGE.matchAll(/`(schemas\/[\w.-]+)`/g)].map(([, file = ""]) => file);
    expect(files.length).toBeGreaterThan(1);
    expect(files.filter((file) => !existsSync(file))).toEqual([]);
  });
});

function commandIn(command: Command | undefined, name: string): Command | undefined {
  return command?.commands.find((each) => each.name() === name);
}
