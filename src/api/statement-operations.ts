import type { Operation } from "./operation.ts";
import { statementPage, statementsRequest } from "./statements.ts";

/** What the registry states of itself, for those who check its decisions. */
export const statementOperations: readonly Operation[] = [
  {
    chapter: "administration",
    access: "credential",
    method: "GET",
    path: "/v1/statements",
    id: "listStatements",
    summary: "List the signed statements of changes of policies, trust roots and revoked authorities",
    query: statementsRequest.shape,
    answers: { 200: { says: "a page of statements, oldest first", schema: statementPage } },
    refuses: [],
  },
];
