import { z } from "zod";

/** What a page of a list says of the next one. */
export const next = z.string().nullable().describe("the cursor of the next page; null on the last");
