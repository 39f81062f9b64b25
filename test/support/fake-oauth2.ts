/**
 * FakeOauth2: an authorization server's token endpoint: client credentials (RFC 6749 4.4) by secret or by JWT (RFC 7523 2.2), the JWT
 * bearer grant (RFC 7523 2.1) and token exchange (RFC 8693). Errors as RFC 6749 5.2 has them.
 */
import { userOf } from "./fake-token-service.ts";
import { RecordingServer, type RecordedRequest, type Reply, type TlsFiles } from "./recording-server.ts";

export class FakeOauth2 extends RecordingServer {
  /** Secrets by client. */
  readonly clients = new Map<string, string>();
  /** JWTs that it trusts. */
  readonly assertions = new Set<string>();
  /** What goes into each answer beside the token; undefined leaves a field out. */
  fields: Record<string, unknown> = { token_type: "Bearer", expires_in: 3_600 };
  #issued = 0;

  get tokenUrl(): string {
    return `${this.url}/realms/corp/token`;
  }

  protected override classify(): { kind: "token"; repository: undefined } {
    return { kind: "token", repository: undefined };
  }

  protected override answer(request: RecordedRequest): Reply {
    if (request.method !== "POST" || request.url !== "/realms/corp/token") return { status: 404, body: "no such page" };
    if (request.headers["content-type"] !== "application/x-www-form-urlencoded") return refusal(400, "invalid_request", "a form is wanted");
    const form = new URLSearchParams(request.body);
    switch (form.get("grant_type")) {
      case "client_credentials":
        return this.#isClient(request, form) ? this.#token() : refusal(401, "invalid_client", "Invalid client or Invalid client credentials");
      case "urn:ietf:params:oauth:grant-type:jwt-bearer":
        return this.#trusts(form.get("assertion")) ? this.#token() : refusal(400, "invalid_grant", "Token has expired");
      case "urn:ietf:params:oauth:grant-type:token-exchange":
        if (form.get("subject_token_type") !== "urn:ietf:params:oauth:token-type:jwt") return refusal(400, "invalid_request", "subject_token_type");
        if (form.get("audience") === "nowhere") return refusal(400, "invalid_target", "unknown audience");
        return this.#trusts(form.get("subject_token"))
          ? this.#token({ issued_token_type: "urn:ietf:params:oauth:token-type:access_token" })
          : refusal(400, "invalid_grant");
      default:
        return refusal(400, "unsupported_grant_type");
    }
  }

  #isClient({ headers }: RecordedRequest, form: URLSearchParams): boolean {
    const isJwt = form.get("client_assertion_type") === "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    if (isJwt) return this.#trusts(form.get("client_assertion"));
    const user = userOf(headers.authorization);
    return user !== undefined && this.clients.get(decoded(user.name)) === decoded(user.password);
  }

  #trusts(assertion: string | null): boolean {
    return assertion !== null && this.assertions.has(assertion);
  }

  #token(more: Record<string, string> = {}): Reply {
    return json(200, { access_token: `access-${++this.#issued}`, ...this.fields, ...more });
  }
}

/** Starts one on a free port of 127.0.0.1. */
export async function startFakeOauth2(options: { readonly tls?: TlsFiles | undefined } = {}): Promise<FakeOauth2> {
  const oauth2 = new FakeOauth2(options);
  await oauth2.accept();
  return oauth2;
}

/** RFC 6749 2.3.1. */
function decoded(text: string): string {
  return new URLSearchParams(`text=${text}`).get("text") ?? "";
}

function refusal(status: number, error: string, description?: string): Reply {
  return json(status, { error, error_description: description });
}

function json(status: number, body: unknown): Reply {
  return { status, headers: { "content-type": "application/json", "cache-control": "no-store" }, body: JSON.stringify(body) };
}
