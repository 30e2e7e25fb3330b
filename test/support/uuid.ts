/** A fresh time-ordered id. */
export { randomUUIDv7 as v7 } from "node:crypto";
