import { readFileSync } from "node:fs";
import { Ajv2020, type AnySchema, type ValidateFunction } from "ajv/dist/2020.js";
import { parse } from "yaml";

/** What holds a registry to what it publishes. It reads the files of `schemas/` alone and knows nothing of the code that wrote them. */

/** A validator that takes nothing for granted: an unknown keyword or format, or a misplaced one, is an error. */
export function createValidator(): Ajv2020 {
  const ajv = new Ajv2020({ allErrors: true, strict: true, strictRequired: false, allowUnionTypes: true });
  // Times have a pattern besides; what a format means is nobody's duty to check in this dialect.
  ajv.addFormat("date-time", true);
  return ajv;
}

/** An answer as it came over the wire. */
export interface ObservedAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

interface Header {
  readonly required?: boolean;
  readonly $ref?: string;
}

interface Response {
  readonly headers?: Readonly<Record<string, Header>>;
  readonly content: Readonly<Record<string, { readonly schema: AnySchema }>>;
}

interface DocumentedOperation {
  readonly operationId: string;
  readonly responses: Readonly<Record<string, Response | { readonly $ref: string }>>;
}

type Document = Readonly<Record<string, unknown>> & {
  readonly paths: Readonly<Record<string, Readonly<Record<string, DocumentedOperation>>>>;
};

const DOCUMENT = "openapi.yaml";
/** Headers that say something to a client which no general rule of HTTP tells it. */
const TOLD = ["x-request-id", "retry-after", "ratelimit", "ratelimit-policy", "www-authenticate"] as const;

/** The published OpenAPI document. */
export class Contract {
  readonly #document = parse(readFileSync(`schemas/${DOCUMENT}`, "utf8")) as Document;
  // The document is no schema, but holds them: its own members are told to the validator as words without a meaning.
  readonly #ajv = createValidator().addVocabulary(Object.keys(this.#document)).addSchema(this.#document, DOCUMENT);
  readonly #operations: ReadonlyMap<string, { readonly pointer: string; readonly operation: DocumentedOperation }>;

  constructor() {
    const all = Object.entries(this.#document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => {
        const pointer = `/paths/${path.replaceAll("~", "~0").replaceAll("/", "~1")}/${method}`;
        return [operation.operationId, { pointer, operation }] as const;
      }),
    );
    this.#operations = new Map(all);
  }

  /** The statuses that an operation is said to answer. */
  statusesOf(id: string): readonly number[] {
    return Object.keys(this.#of(id).operation.responses).map(Number);
  }

  get ids(): readonly string[] {
    return [...this.#operations.keys()];
  }

  /** What is wrong with an answer of an operation; nothing when it is as published. */
  faultsOf(id: string, { status, headers, text }: ObservedAnswer): readonly string[] {
    const { pointer, operation } = this.#of(id);
    const documented = operation.responses[String(status)];
    if (documented === undefined) return [`${id}: the status ${status} is not documented: ${text.slice(0, 200)}`];
    const at = "$ref" in documented ? documented.$ref : `#${pointer}/responses/${status}`;
    const response = this.#resolve(at) as Response;
    const missing = Object.entries(response.headers ?? {}).filter(([name, header]) => this.#isRequired(header) && !headers.has(name));
    const described = new Set(Object.keys(response.headers ?? {}).map((name) => name.toLowerCase()));
    const undescribed = TOLD.filter((name) => headers.has(name) && !described.has(name));
    const type = headers.get("content-type")?.split(";")[0] ?? "none";
    if (response.content[type] === undefined) return [`${id}: ${status} with the media type ${type} is not documented`];
    const validate = this.#validator(`${at}/content/${type.replaceAll("/", "~1")}/schema`);
    const body: unknown = type.endsWith("json") ? JSON.parse(text) : text;
    return [
      ...undescribed.map((name) => `${id}: ${status} has the header ${name}, which is not documented`),
      ...missing.map(([name]) => `${id}: ${status} lacks the header ${name}`),
      ...(validate(body) ? [] : [`${id}: ${status}: ${this.#ajv.errorsText(validate.errors)}: ${text.slice(0, 400)}`]),
    ];
  }

  /** Does a body fit what an operation takes? */
  takes(id: string, body: unknown): boolean {
    return this.#validator(`#${this.#of(id).pointer}/requestBody/content/application~1json/schema`)(body);
  }

  /** Is a value what the published vocabulary calls so? */
  isA(name: string, value: unknown): boolean {
    return this.#validator(`#/components/schemas/${name}`)(value);
  }

  #of(id: string): { readonly pointer: string; readonly operation: DocumentedOperation } {
    const found = this.#operations.get(id);
    if (found === undefined) throw new TypeError(`there is no operation ${id}`);
    return found;
  }

  #isRequired(header: Header): boolean {
    return (header.$ref === undefined ? header : (this.#resolve(header.$ref) as Header)).required === true;
  }

  #resolve(ref: string): unknown {
    let value: unknown = this.#document;
    for (const part of ref.slice(2).split("/")) {
      value = (value as Record<string, unknown>)[part.replaceAll("~1", "/").replaceAll("~0", "~")];
    }
    return value;
  }

  #validator(pointer: string): ValidateFunction {
    const validate = this.#ajv.getSchema(`${DOCUMENT}${encodeURI(pointer)}`);
    if (validate === undefined) throw new TypeError(`there is no schema at ${pointer}`);
    return validate;
  }
}
