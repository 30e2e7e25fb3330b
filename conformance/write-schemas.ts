import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CHECKOUT } from "./registry-process.ts";
import { publishedSchemas } from "./schemas.ts";

for (const [file, text] of publishedSchemas()) await writeFile(join(CHECKOUT, "schemas", file), text);
