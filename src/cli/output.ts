import { visible } from "./visible.ts";

/** Rows as columns, each as wide as its widest cell and two spaces more; without spaces at the end of a line. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [header, ...rows].map((row) => row.map(visible));
  const widths = header.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));
  return cells
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd((widths[at] ?? 0) + 2))
        .join("")
        .trimEnd(),
    )
    .join("\n");
}

const UNITS = ["B", "KB", "MB", "GB", "TB", "PB", "EB"] as const;

/** A number of bytes for people: `512 B`, `1.5 KB`; steps of 1024, as the predecessor showed them. */
export function sizeText(bytes: number): string {
  let [value, unit] = [bytes, 0];
  // 1023.95 would be shown as 1024.0.
  while (value >= 1023.95 && unit < UNITS.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit] ?? ""}`;
}

/** A digest cut to what people compare. */
export function shortDigest(digest: string): string {
  const colon = digest.indexOf(":");
  return digest.slice(0, colon + 13);
}

/** A time of the API (RFC 3339, or epoch milliseconds) to the second, in UTC. */
export function timeText(time: string | number): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? String(time) : date.toISOString().replace(/\.\d+Z$/, "Z");
}
