/** How often a property is tried: as often as it says by default, and `GATE_RUNS` times as often when that is set. */
export function runs(usually: number): number {
  // oxlint-disable-next-line node/no-process-env -- tests have no other way to be told
  return usually * Number(process.env["GATE_RUNS"] ?? 1);
}
