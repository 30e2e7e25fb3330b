import { RegistryError } from "../oci/errors.ts";

/** What stands in the place of content that a caller does not get. */
export class Withheld {
  /** For the caller. */
  readonly why: string;

  constructor(why: string) {
    this.why = why;
  }
}

/** What comes of reading as a pull reads; or why the caller does not get it. All else that goes wrong is thrown. */
export async function unlessWithheld<T>(read: () => Promise<T>): Promise<T | Withheld> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    if (error.code === "DENIED") return new Withheld(error.message);
    if (error.code === "MANIFEST_UNKNOWN" || error.code === "BLOB_UNKNOWN") return new Withheld("it is gone, or not for you to read");
    throw error;
  }
}
