import type { Operations } from "./api";

/** An answer of the server that is an error. */
export class NurApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly param: string | null = null,
    readonly requestId: string | null = null,
  ) {
    super(message);
  }
}

export interface RestOptions {
  /** Where the server is, with its path prefix. */
  baseUrl: string;
  /** Never in a page: a page has the cookie of who is signed in, or a `websocket_url`. */
  apiKey?: string;
  /** Sent with writes that are made with a cookie. */
  csrfToken?: () => string | null;
  fetch?: typeof fetch;
}

type Name = keyof Operations;
type Given<Op extends Name> = Operations[Op]["given"];
type Answer<Op extends Name> = Operations[Op]["answer"];

/** The REST API; every operation of the OpenAPI document, typed. */
export class NurApi {
  constructor(private readonly options: RestOptions) {}

  /**
   * `api.call("GET /v1/agents/{agent_id}", { agent_id })`: what stands in the path fills it, the
   * rest is the query of a GET or DELETE and the body of everything else. Raises `NurApiError`.
   */
  async call<Op extends Name>(
    operation: Op, given: Given<Op> = {} as Given<Op>, signal?: AbortSignal,
  ): Promise<Answer<Op>> {
    const [method, template] = (operation as string).split(" ") as [string, string];
    const rest: Record<string, unknown> = { ...(given as Record<string, unknown>) };
    const path = template.replace(/\{(\w+)\}/g, (_, name: string) => {
      const value = encodeURIComponent(String(rest[name]));
      delete rest[name];
      return value;
    });
    const hasBody = method !== "GET" && method !== "DELETE";
    const address = new URL(path.slice(1), this.options.baseUrl.replace(/\/?$/, "/"));
    if (!hasBody) fill(address.searchParams, rest);
    const headers: Record<string, string> = { Accept: "application/json" };
    if (this.options.apiKey) headers.Authorization = `Bearer ${this.options.apiKey}`;
    const csrf = method === "GET" ? null : this.options.csrfToken?.();
    if (csrf) headers["X-CSRF-Token"] = csrf;
    if (hasBody) headers["Content-Type"] = "application/json";
    const body = hasBody ? JSON.stringify(rest.body ?? rest) : undefined;
    const answer = await (this.options.fetch ?? fetch)(address, {
      method, headers, body, signal, credentials: this.options.apiKey ? "omit" : "same-origin",
    });
    return (await read(answer)) as Answer<Op>;
  }
}

function fill(query: URLSearchParams, given: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(given)) {
    if (value !== undefined && value !== null && value !== "") query.set(name, String(value));
  }
}

async function read(answer: Response): Promise<unknown> {
  const text = await answer.text();
  let value: unknown = null;
  try {
    value = text === "" ? null : JSON.parse(text);
  } catch {
    if (answer.ok) return text;
  }
  if (answer.ok) return value;
  const error = (value as { error?: Record<string, string> } | null)?.error;
  throw new NurApiError(
    answer.status,
    error?.code ?? "unreadable",
    error?.message ?? `the server answered ${answer.status}`,
    error?.param ?? null,
    error?.request_id ?? null,
  );
}
