import { METRICS, type MetricName, definitionOf } from "./definitions.ts";
import type { Snapshot } from "./metric-set.ts";

/** The media type of what `exposition` makes. */
export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Metrics as Prometheus reads them (text format 0.0.4): all that there are, so that whoever asks for one that counted nothing yet knows it. */
export function exposition(snapshot: Snapshot): string {
  return NAMES.flatMap((name) => metricLines(name, snapshot)).join("");
}

const NAMES = Object.keys(METRICS).filter((name): name is MetricName => name in METRICS);
/** What a counter without labels has counted before there was anything to count: an alert on its growth needs the first value. */
const NOTHING = [{ labels: [], value: 0 }];

function metricLines(name: MetricName, snapshot: Snapshot): readonly string[] {
  const { kind, help, labels, buckets = [] } = definitionOf(name);
  const none = kind === "counter" && labels.length === 0 ? NOTHING : [];
  const all: Snapshot[string] = snapshot[name] ?? none;
  const lines = all.flatMap((series) => {
    const own = labels.map((label, at) => [label, series.labels[at] ?? ""] as const);
    if (kind !== "histogram") return [line(name, own, series.value)];
    const counts = [...(series.buckets ?? []), series.count ?? 0];
    const bounds = [...buckets.map(String), "+Inf"];
    return [
      ...bounds.map((bound, at) => line(`${name}_bucket`, [...own, ["le", bound]], counts[at] ?? 0)),
      line(`${name}_sum`, own, series.value),
      line(`${name}_count`, own, series.count ?? 0),
    ];
  });
  return [`# HELP ${name} ${help}\n`, `# TYPE ${name} ${kind}\n`, ...lines];
}

function line(name: string, labels: readonly (readonly [string, string])[], value: number): string {
  const shown = labels.map(([label, text]) => `${label}="${escaped(text)}"`).join(",");
  return `${name}${shown === "" ? "" : `{${shown}}`} ${value}\n`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
