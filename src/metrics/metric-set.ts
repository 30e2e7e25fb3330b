import { z } from "zod";
import { METRICS, type MetricName, definitionOf } from "./definitions.ts";

/** Values of a metric's labels, by their names. */
export type Labels = Readonly<Record<string, string>>;

const seriesSchema = z.object({
  /** In the order of the definition. */
  labels: z.array(z.string()),
  value: z.number(),
  /** For a histogram: how many observations were at most each bound, and how many there were. */
  buckets: z.array(z.number()).optional(),
  count: z.number().optional(),
});
export const snapshotSchema = z.record(z.string(), z.array(seriesSchema));

type Series = z.infer<typeof seriesSchema>;
/** All values at a moment, as plain data that workers can send. */
export type Snapshot = z.infer<typeof snapshotSchema>;

/** Where things are counted. */
export type Meter = Pick<MetricSet, "add" | "set" | "observe">;

/** A label that takes any value would take all memory: beyond so many combinations of a metric nothing new is counted. */
const MAX_SERIES = 2_000;

/** What one process counts, by metric and labels. */
export class MetricSet {
  readonly #metrics = new Map<MetricName, Map<string, Series>>();

  /** Adds to a counter, or to a gauge. */
  add(name: MetricName, labels: Labels = {}, amount = 1): void {
    const series = this.#seriesOf(name, labels);
    if (series !== undefined) series.value += amount;
  }

  /** Sets a gauge, or a counter that somebody else keeps. */
  set(name: MetricName, labels: Labels, value: number): void {
    const series = this.#seriesOf(name, labels);
    if (series !== undefined) series.value = value;
  }

  /** Counts an observation of a histogram. */
  observe(name: MetricName, labels: Labels, value: number): void {
    const series = this.#seriesOf(name, labels);
    if (series?.buckets === undefined) return;
    const bounds = definitionOf(name).buckets ?? [];
    // From the largest down, and without an iterator: every request counts in three dozen buckets.
    for (let at = bounds.length - 1; value <= (bounds[at] ?? -Infinity); at -= 1) series.buckets[at] = (series.buckets[at] ?? 0) + 1;
    series.value += value;
    series.count = (series.count ?? 0) + 1;
  }

  snapshot(): Snapshot {
    return Object.fromEntries([...this.#metrics].map(([name, all]) => [name, [...all.values()].map((series) => structuredClone(series))]));
  }

  #seriesOf(name: MetricName, labels: Labels): Series | undefined {
    const definition = definitionOf(name);
    const values = definition.labels.map((label) => labels[label] ?? "");
    const key = values.join("\0");
    let all = this.#metrics.get(name);
    if (all === undefined) this.#metrics.set(name, (all = new Map<string, Series>()));
    const known = all.get(key);
    if (known !== undefined || all.size >= MAX_SERIES) return known;
    const histogram = definition.kind === "histogram" ? { buckets: (definition.buckets ?? []).map(() => 0), count: 0 } : {};
    const series: Series = { labels: values, value: 0, ...histogram };
    all.set(key, series);
    return series;
  }
}

/** The sum of several processes' metrics. */
export function sumOf(snapshots: readonly Snapshot[]): Snapshot {
  const sum: Record<string, Series[]> = {};
  for (const [name, all] of snapshots.flatMap((snapshot) => Object.entries(snapshot))) {
    const into = (sum[name] ??= []);
    for (const series of all) {
      const same = into.find((other) => other.labels.join("\0") === series.labels.join("\0"));
      if (same === undefined) into.push(structuredClone(series));
      else addTo(same, series);
    }
  }
  return sum;
}

function addTo(sum: Series, series: Series): void {
  sum.value += series.value;
  if (sum.count !== undefined) sum.count += series.count ?? 0;
  for (const [at, count] of (series.buckets ?? []).entries())
    if (sum.buckets !== undefined) sum.buckets[at] = (sum.buckets[at] ?? 0) + count;
}

/** What goes on counting after a process has ended: all but gauges, which say how it is now. */
export function lasting(snapshot: Snapshot): Snapshot {
  const counts = new Set<string>(Object.entries(METRICS).flatMap(([name, { kind }]) => (kind === "gauge" ? [] : [name])));
  return Object.fromEntries(Object.entries(snapshot).filter(([name]) => counts.has(name)));
}
