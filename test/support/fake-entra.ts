/**
 * FakeEntra: Azure's login service (client credentials with a secret or a federated token, in https as it must be) and, on a plain
 * one, the instance metadata service that gives managed identities their tokens. Microsoft's documented formats, errors included.
 */
import { RecordingServer, type RecordedRequest, type Reply, type TlsFiles } from "./recording-server.ts";
import { unsignedJwt } from "./unsigned-jwt.ts";

export interface ServicePrincipal {
  readonly clientId: string;
  readonly secret?: string;
  /** Tokens of a cluster that its federated credential trusts. */
  readonly federatedTokens?: readonly string[];
}

export class FakeEntra extends RecordingServer {
  readonly tenant = "11111111-2222-3333-4444-555555555555";
  readonly servicePrincipals: ServicePrincipal[] = [];
  /** User-assigned identities; a request that names none gets the machine's own. */
  readonly managedIdentities = new Set<string>();
  /** Every access token given. */
  readonly issued: string[] = [];
  /** Told of each token before it leaves: a registry that trusts this tenant. */
  onIssue: (token: string) => void = () => {};

  protected override classify(path: string): { kind: "token" | "other"; repository: undefined } {
    return { kind: /\/token\/?$/.test(path) ? "token" : "other", repository: undefined };
  }

  protected override answer(request: RecordedRequest): Reply {
    const { pathname, searchParams } = new URL(request.url, this.url);
    if (/^\/metadata\/identity\/oauth2\/token\/?$/.test(pathname)) return this.#managed(request, searchParams);
    const [, tenant, ...rest] = pathname.split("/");
    if (tenant !== this.tenant) return aadError(400, "invalid_tenant", 90002, `Tenant '${tenant}' not found.`);
    if (rest.join("/") === "v2.0/.well-known/openid-configuration") return json(200, this.#discovery());
    if (request.method === "POST" && rest.join("/") === "oauth2/v2.0/token") return this.#clientCredentials(new URLSearchParams(request.body));
    return { status: 404, body: "" };
  }

  #discovery(): Record<string, string> {
    const base = `${this.url}/${this.tenant}`;
    return {
      token_endpoint: `${base}/oauth2/v2.0/token`,
      authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
      issuer: `${base}/v2.0`,
      jwks_uri: `${base}/keys`,
    };
  }

  #clientCredentials(form: URLSearchParams): Reply {
    const clientId = form.get("client_id") ?? "";
    const principal = this.servicePrincipals.find((known) => known.clientId === clientId);
    if (!principal) return aadError(400, "unauthorized_client", 700016, `Application with identifier '${clientId}' was not found in the directory.`);
    const assertion = form.get("client_assertion");
    if (assertion !== null && !principal.federatedTokens?.includes(assertion))
      return aadError(401, "invalid_client", 700213, "No matching federated identity record found for presented assertion.");
    if (assertion === null && form.get("client_secret") !== principal.secret)
      return aadError(
        401,
        "invalid_client",
        7000215,
        `Invalid client secret provided. Ensure the secret being sent is the client secret value for '${clientId}'.`,
      );
    return json(200, { token_type: "Bearer", expires_in: 3_599, ext_expires_in: 3_599, access_token: this.#issue() });
  }

  #managed(request: RecordedRequest, query: URLSearchParams): Reply {
    if (request.headers["metadata"] !== "true") return json(400, { error: "invalid_request", error_description: "Required metadata header not specified" });
    const clientId = query.get("client_id");
    if (clientId !== null && !this.managedIdentities.has(clientId)) return json(400, { error: "invalid_request", error_description: "Identity not found" });
    const nowSeconds = Math.floor(Date.now() / 1_000);
    const times = { expires_in: "86399", expires_on: String(nowSeconds + 86_399), ext_expires_in: "86399", not_before: String(nowSeconds) };
    return json(200, { access_token: this.#issue(), client_id: clientId ?? "the machine", resource: query.get("resource"), token_type: "Bearer", ...times });
  }

  #issue(): string {
    const token = unsignedJwt({ tid: this.tenant, jti: String(this.issued.length + 1) });
    this.issued.push(token);
    this.onIssue(token);
    return token;
  }
}

/** Starts one on a free port of 127.0.0.1. */
export async function startFakeEntra(options: { readonly tls?: TlsFiles | undefined } = {}): Promise<FakeEntra> {
  const entra = new FakeEntra(options);
  await entra.accept();
  return entra;
}

function aadError(status: number, error: string, code: number, words: string): Reply {
  const ids = { timestamp: "2026-01-01 00:00:00Z", trace_id: "aaaaaaaa-0000-0000-0000-000000000000", correlation_id: "bbbbbbbb-0000-0000-0000-000000000000" };
  const description = `AADSTS${code}: ${words} Trace ID: ${ids.trace_id} Correlation ID: ${ids.correlation_id} Timestamp: ${ids.timestamp}`;
  return json(status, { error, error_description: description, error_codes: [code], ...ids, error_uri: `https://login.example/error?code=${code}` });
}

function json(status: number, body: unknown): Reply {
  return { status, headers: { "content-type": "application/json; charset=utf-8" }, body: JSON.stringify(body) };
}
