import type { Services } from "../../registry/ports.ts";
import type { ListedCredential } from "../../registry/list-credentials.ts";
import { endSession, endSessions, ownSessions } from "../../registry/sessions.ts";
import type { ShownSession } from "../../ui/sessions.ts";
import { sessionsPage } from "../../ui/sessions.ts";
import type { Door } from "../route.ts";
import { type Pages, redirect } from "./page.ts";
import { viewerOf } from "./session-gate.ts";

type Needs = Pick<Services, "metadata" | "clock" | "newId" | "random" | "secretFor" | "log" | "settings">;

/** The page of the caller's own sessions, and what ends them. */
export function sessionDoors(services: Needs, pages: Pages): readonly Door[] {
  return [
    {
      method: "GET",
      path: "/ui/sessions",
      action: "session",
      handle: async (c, caller) => {
        const sessions = (await ownSessions(services, caller)).map((each) => shown(each, caller.principal.credential));
        return pages.show(c, { title: "Your sessions", section: "/ui/sessions", main: sessionsPage(viewerOf(c), sessions) });
      },
    },
    {
      method: "POST",
      path: "/ui/sessions/end-all",
      action: "session",
      handle: async (c, caller) => {
        await endSessions(services, caller);
        return redirect(c, "/ui/sign-in");
      },
    },
    {
      method: "POST",
      path: "/ui/sessions/:id{[\\w-]+}/end",
      action: "session",
      handle: async (c, caller) => {
        await endSession(services, caller, c.req.param("id") ?? "");
        return redirect(c, "/ui/sessions");
      },
    },
  ];
}

function shown({ record, use }: ListedCredential, current: string | undefined): ShownSession {
  return {
    id: record.id,
    openedAt: time(record.createdAt),
    endsAt: time(record.expiresAt ?? record.createdAt),
    usedAt: time(use?.at ?? record.createdAt),
    usedFrom: use?.address,
    isThis: record.id === current,
  };
}

function time(at: number): string {
  return new Date(at).toISOString();
}
