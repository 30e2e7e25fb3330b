import { assets } from "../../ui/assets.ts";
import type { Door } from "../route.ts";

const HEADERS = { "Cache-Control": "public, max-age=31536000, immutable" };

/** What pages refer to. It holds nothing that is secret, and never changes under its name. */
export function assetDoors(): readonly Door[] {
  return assets.map(({ path, type, body }) => ({
    method: "GET",
    path,
    action: "open",
    handle: (c) => c.body(body, 200, { ...HEADERS, "Content-Type": type }),
  }));
}
