import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium } from "playwright-core";
import { needPrograms } from "../debian-tools.ts";

/** Nothing of it talks to anybody by itself, and it runs as root in a container, where its own sandbox cannot. */
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Starts Debian's Chromium, which is installed the first time. */
export async function launchChromium(): Promise<Browser> {
  await needPrograms({ chromium: "chromium" });
  const folders = (process.env["PATH"] ?? "/usr/bin").split(delimiter);
  const executablePath = folders.map((folder) => join(folder, "chromium")).find((file) => existsSync(file));
  return chromium.launch({ ...(executablePath !== undefined && { executablePath }), args: FLAGS });
}
