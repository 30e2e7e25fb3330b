import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { loadConfig } from "../../src/config.ts";

const USER = "65532";
/** What the image itself sets. */
const IMAGE = Object.fromEntries(
  [...readFileSync("Containerfile", "utf8").matchAll(/^(?:ENV| {4}) ?([A-Z_]+)=(\S+?)(?: \\)?$/gm)].map(([, name = "", value = ""]) => [
    name,
    value,
  ]),
);
const QUADLET = readFileSync("deploy/quadlet/ai-model-registry.container", "utf8");
const UNIT = readFileSync("deploy/systemd/ai-model-registry.service", "utf8");

interface ComposeService {
  readonly user: string;
  readonly read_only: boolean;
  readonly cap_drop: readonly string[];
  readonly security_opt: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly ports: readonly string[];
  readonly volumes: readonly string[];
  readonly build: { readonly context: string; readonly dockerfile: string };
}
const { services } = parse(readFileSync("deploy/compose/compose.yaml", "utf8")) as { services: { registry: ComposeService } };
const COMPOSE = services.registry;

/** What compose makes of a text when no variable is set. */
const byDefault = (text: string): string => text.replaceAll(/\$\{[A-Z_]+:-([^}]*)\}/g, "$1");

test("the image, compose and Quadlet run the registry as the same user, who is nobody on the host", () => {
  expect(readFileSync("Containerfile", "utf8")).toContain(`\nUSER ${USER}:${USER}\n`);
  expect(COMPOSE.user).toBe(`${USER}:${USER}`);
  expect(QUADLET).toContain(`\nUser=${USER}\nGroup=${USER}\n`);
});

test("compose and Quadlet take away what the container does not need, and publish it on loopback alone", () => {
  expect([COMPOSE.read_only, COMPOSE.cap_drop, COMPOSE.ports]).toEqual([true, ["ALL"], ["127.0.0.1:8470:8470"]]);
  expect(COMPOSE.security_opt).toEqual(["no-new-privileges:true", "seccomp:../seccomp.json"]);
  for (const line of ["ReadOnly=true", "DropCapability=all", "NoNewPrivileges=true", "PublishPort=127.0.0.1:8470:8470"]) {
    expect(QUADLET.split("\n")).toContain(line);
  }
  expect(COMPOSE.volumes).toEqual(["registry:/registry", "backup:/backup"]);
  expect(QUADLET).toContain("\nVolume=ai-model-registry.volume:/registry\n");
});

test("the server accepts what the image, compose and Quadlet set together", () => {
  expect(IMAGE).toMatchObject({ REGISTRY_DIR: "/registry", BIND_ADDR: "0.0.0.0:8470" });
  const compose = Object.fromEntries(Object.entries(COMPOSE.environment).map(([name, value]) => [name, byDefault(value)]));
  const quadlet = Object.fromEntries(
    (/^Environment=(.*)$/m.exec(QUADLET)?.[1] ?? "").split(" ").map((pair) => pair.split("=") as [string, string]),
  );
  for (const environment of [compose, quadlet]) {
    expect(loadConfig({ ...IMAGE, ...environment })).toMatchObject({ dataDirectory: "/registry", tlsTerminatedByProxy: true, workers: 2 });
  }
});

test("the server accepts what the unit sets, and serves nobody but this machine by it", () => {
  const set: Record<string, string> = Object.fromEntries(
    [...UNIT.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, name = "", value = ""]) => [name, value.replace("%S", "/var/lib")] as const),
  );
  expect(loadConfig(set)).toMatchObject({
    bind: { host: "127.0.0.1", port: 8470 },
    dataDirectory: "/var/lib/ai-model-registry",
  });
});

const at = (path: string): string => join("deploy/compose", path);

test("what compose names beside itself is there", () => {
  expect([at("../seccomp.json"), join(at(COMPOSE.build.context), COMPOSE.build.dockerfile)].filter((path) => !existsSync(path))).toEqual(
    [],
  );
});

test("what the page has podman take away from the container is what the trial takes away", () => {
  const page = readFileSync("deploy/README.md", "utf8");
  const command = /^podman run (?:.*\\\n)*.*$/m.exec(page)?.[0].replaceAll("\\\n", " ") ?? "";
  const trial = readFileSync("conformance/container.ts", "utf8");
  for (const option of [
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop",
    "--security-opt",
    "no-new-privileges",
    "--pids-limit",
    "--memory",
  ]) {
    expect([option, command.includes(option), trial.includes(`"${option}"`)]).toEqual([option, true, true]);
  }
  expect(command).toContain("seccomp=deploy/seccomp.json");
});
