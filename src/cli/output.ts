import { visible } from "./visible.ts";

/** Rows as columns, each as wide as its widest cell and two spaces more; without spaces at the end of a line. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [header, ...rows].map((row) => row.map(visible));
  const widths = header.map((_, at) => cells.reduce((width, row) => Math.max(width, widthOf(row[at] ?? "")), 0));
  const padded = (cell: string, at: number): string => cell + " ".repeat((widths[at] ?? 0) + 2 - widthOf(cell));
  return cells.map((row) => row.map(padded).join("").trimEnd()).join("\n");
}

/** Characters, as the predecessor counted. */
function widthOf(cell: string): number {
  let width = 0;
  for (const _ of cell) width += 1;
  return width;
}

const UNITS = ["B", "KB", "MB", "GB", "TB", "PB", "EB"] as const;

/** A number of bytes for people: `512 B`, `1.5 KB`; steps of 1024, as the predecessor showed them. */
export function sizeText(bytes: number): string {
  let [value, unit] = [bytes, 0];
  // 1023.95 would be shown as 1024.0.
  while (value >= 1023.95 && unit < UNITS.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit] ?? ""}`;
}

/** The same JSON with the members of every object in the order of their names, as the predecessor printed it. */
export function withSortedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withSortedKeys);
  if (typeof value !== "object" || value === null) return value;
  const sorted = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([name, member]) => [name, withSortedKeys(member)]));
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
