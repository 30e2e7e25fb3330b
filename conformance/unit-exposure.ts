import type { Machine } from "./systemd-machine.ts";
import { must } from "./must.ts";

const SERVICE = "ai-model-registry.service";
const FROM = "/opt/ai-model-registry/deploy/systemd";
/** The most exposure that systemd-analyze may find, in tenths: of the unit as it is, and with these drop-ins. */
const EXPOSURES: readonly (readonly [string, readonly string[], number])[] = [
  [SERVICE, [], 11],
  [SERVICE, ["hardened.conf"], 11],
  [SERVICE, ["socket.conf"], 5],
  [SERVICE, ["socket.conf", "hardened.conf"], 4],
  [SERVICE, ["socket.conf", "hardened.conf", "metrics.conf"], 4],
  ["ai-model-registry-verify.service", [], 9],
];

/** The units make sense to systemd, and leave no more open than they may. */
export async function rateUnits(machine: Machine): Promise<void> {
  for (const [unit, dropIns, most] of EXPOSURES) {
    const lines = [
      "set -eu",
      "units=$(mktemp -d)",
      `cp ${FROM}/*.service ${FROM}/*.socket ${FROM}/*.timer "$units"`,
      `mkdir "$units/${SERVICE}.d"`,
      ...dropIns.map((name) => `cp ${FROM}/${name} "$units/${SERVICE}.d"`),
      'export SYSTEMD_UNIT_PATH="$units:"',
      // What it has to say of other units is none of this.
      'complaints=$(systemd-analyze verify "$units"/*.service "$units"/*.socket "$units"/*.timer 2>&1)',
      'if grep ai-model-registry <<<"$complaints" >&2; then exit 1; fi',
      `systemd-analyze security --no-pager --offline=true --threshold=${most} "$units/${unit}"`,
    ];
    const out = await machine.must(lines.join("\n"));
    const exposure = /Overall exposure level.*: ([\d.]+)/.exec(out)?.[1];
    must(exposure !== undefined, `systemd-analyze gave no exposure\n${out}`);
    process.stdout.write(`ok     ${[unit, ...dropIns].join(" with ")}: exposure ${exposure}, at most ${most / 10}\n`);
  }
}
