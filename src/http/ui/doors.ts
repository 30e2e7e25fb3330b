import type { Services } from "../../registry/ports.ts";
import type { Door } from "../route.ts";
import { assetDoors } from "./assets.ts";
import { sessionDoors } from "./sessions.ts";
import { type SignInOptions, signInDoors } from "./sign-in.ts";
import { startDoors } from "./start.ts";

type Needs = Pick<Services, "metadata" | "blobs" | "clock" | "newId" | "random" | "secretFor" | "log" | "settings">;

/** All doors of the pages. */
export function pageDoors(services: Needs, options: SignInOptions): readonly Door[] {
  const { pages } = options;
  return [...assetDoors(), ...signInDoors(services, options), ...startDoors(services, pages), ...sessionDoors(services, pages)];
}
