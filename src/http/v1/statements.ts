import { type StatementView, statementView, statementsRequest } from "../../api/statements.ts";
import type { Services } from "../../registry/ports.ts";
import { type RegistryStatement, listRegistryStatements } from "../../registry/registry-statements.ts";
import { queryOf } from "../body.ts";
import type { Door } from "../route.ts";

/** The door to what the registry states of itself. */
export function statementDoors(services: Pick<Services, "metadata">): readonly Door[] {
  return [
    {
      method: "GET",
      path: "/v1/statements",
      action: "credential",
      handle: async (c) => {
        const { after, limit } = queryOf(c, statementsRequest);
        // One more tells whether there is another page.
        const found = await listRegistryStatements(services, { after, limit: limit + 1 });
        const statements = found.slice(0, limit);
        return c.json({ statements: statements.map(shown), next: found.length > limit ? (statements.at(-1)?.sequence ?? null) : null });
      },
    },
  ];
}

function shown({ sequence, kind, subjects, at, statement, bundle }: RegistryStatement): StatementView {
  return { sequence, kind, subjects, at: new Date(at).toISOString(), statement, bundle: parsed(bundle) };
}

function parsed(json: string): StatementView["bundle"] {
  return statementView.shape.bundle.parse(JSON.parse(json));
}
