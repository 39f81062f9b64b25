/**
 * FakeAcr: an Azure Container Registry: a fake registry with Azure's token service on its own origin, in the format of "Azure
 * Container Registry integration with Azure Active Directory": `/oauth2/exchange` and `/oauth2/token`.
 */
import { startFakeCdn } from "./fake-cdn.ts";
import { startFakeTokenService, userOf, type FakeTokenService } from "./fake-token-service.ts";
import { FakeUpstream } from "./fake-upstream.ts";
import type { Quirk, RequestKind } from "./quirks.ts";
import type { RecordedRequest, Reply, TlsFiles } from "./recording-server.ts";
import { unsignedJwt } from "./unsigned-jwt.ts";

/** Who logs in with a refresh token where a name is wanted. */
const nobody = "00000000-0000-0000-0000-000000000000";

export class FakeAcr extends FakeUpstream {
  /** Entra tokens of identities that may pull here. */
  readonly admits = new Set<string>();
  /** What its refresh tokens say of their life. */
  refreshLifeSeconds = 3 * 3_600;
  readonly #refreshTokens = new Set<string>();
  #given = 0;
  readonly #tokens: FakeTokenService;

  constructor({ tokens, ...options }: { tokens: FakeTokenService } & ConstructorParameters<typeof FakeUpstream>[0]) {
    super(options);
    this.#tokens = tokens;
  }

  override async accept(): Promise<void> {
    await super.accept();
    this.authentication = { kind: "bearer", tokens: this.#tokens, realm: `${this.url}/oauth2/token` };
  }

  override async close(): Promise<void> {
    await this.#tokens.close();
    await super.close();
  }

  /** Ends every refresh token given so far. */
  revoke(): void {
    this.#refreshTokens.clear();
    this.#tokens.expireAll();
  }

  protected override classify(path: string): { kind: RequestKind; repository: string | undefined } {
    return path.startsWith("/oauth2/") ? { kind: "token", repository: undefined } : super.classify(path);
  }

  protected override answer(request: RecordedRequest, quirk: Quirk): Reply {
    if (request.kind !== "token") return super.answer(request, quirk);
    const { pathname, searchParams } = new URL(request.url, this.url);
    const form = new URLSearchParams(request.body);
    if (pathname === "/oauth2/exchange" && request.method === "POST") return this.#exchange(form);
    if (pathname === "/oauth2/token" && request.method === "POST") return this.#sell(form.get("refresh_token"), form);
    if (pathname === "/oauth2/token") {
      const user = userOf(request.headers.authorization);
      return this.#sell(user?.name === nobody ? user.password : null, searchParams);
    }
    return { status: 404, body: "" };
  }

  #exchange(form: URLSearchParams): Reply {
    if (form.get("grant_type") !== "access_token" || form.get("service") !== this.host) return errors(400, "UNSUPPORTED", "the request is not supported");
    if (!this.admits.has(form.get("access_token") ?? "")) return errors(401, "UNAUTHORIZED", "authentication required, visit https://aka.ms/acr/authorization");
    const iat = Math.floor(Date.now() / 1_000);
    const token = unsignedJwt({ iat, exp: iat + this.refreshLifeSeconds, grant_type: "refresh_token", jti: ++this.#given });
    this.#refreshTokens.add(token);
    return json(200, { refresh_token: token });
  }

  #sell(refreshToken: string | null, query: URLSearchParams): Reply {
    if (refreshToken === null || !this.#refreshTokens.has(refreshToken)) return errors(401, "UNAUTHORIZED", "authentication required");
    return json(200, { access_token: this.#tokens.issue("somebody", query.getAll("scope")) });
  }
}

/** Starts one on a free port of 127.0.0.1. */
export async function startFakeAcr({ tls }: { readonly tls?: TlsFiles | undefined } = {}): Promise<FakeAcr> {
  const acr = new FakeAcr({ tls, cdn: await startFakeCdn({ tls }), tokens: await startFakeTokenService() });
  await acr.accept();
  return acr;
}

function errors(status: number, code: string, message: string): Reply {
  return json(status, { errors: [{ code, message, detail: null }] });
}

function json(status: number, body: unknown): Reply {
  return { status, headers: { "content-type": "application/json; charset=utf-8" }, body: JSON.stringify(body) };
}
