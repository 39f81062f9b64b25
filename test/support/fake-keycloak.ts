/**
 * FakeKeycloak: Keycloak 26's `docker-v2` protocol with what clients trip over: GET only, one scope of exactly three parts, a key id
 * that is libtrust's and in no key set, `token` and no `access_token`, everything granted to everybody in the realm.
 */
import { userOf } from "./fake-token-service.ts";
import { RecordingServer, type RecordedRequest, type Reply } from "./recording-server.ts";
import { jwkOf, rsaKey, signToken, type SigningKey } from "./signed-tokens.ts";
import { libtrustFingerprint } from "../../src/auth/key-ids.ts";

export class FakeKeycloak extends RecordingServer {
  readonly realm = "corp";
  /** Names and passwords. */
  readonly users = new Map<string, string>();
  /** Clients of the protocol docker-v2. */
  readonly clients = new Set<string>();
  /** The realm's active key. */
  key: SigningKey = rsaKey();
  expiresInSeconds = 300;

  /** `iss` */
  get issuer(): string {
    return `${this.url}/realms/${this.realm}`;
  }

  /** What `REGISTRY_AUTH_TOKEN_REALM` says. */
  get tokenUrl(): string {
    return `${this.issuer}/protocol/docker-v2/auth`;
  }

  get keySetUrl(): string {
    return `${this.issuer}/protocol/openid-connect/certs`;
  }

  protected override classify(path: string): { kind: "token" | "other"; repository: undefined } {
    return { kind: path.endsWith("/auth") ? "token" : "other", repository: undefined };
  }

  protected override answer(request: RecordedRequest): Reply {
    const url = new URL(request.url, this.url);
    if (url.href === this.keySetUrl) return json(200, { keys: [this.#encryptionKey(), jwkOf(this.key, { kid: "xM3v0-not-libtrust" })] });
    if (`${url.origin}${url.pathname}` !== this.tokenUrl) return json(404, { error: "Unable to find matching target resource method" });
    if (request.method !== "GET") return json(405, { error: "HTTP 405 Method Not Allowed" });
    const service = url.searchParams.get("service") ?? "";
    if (!this.clients.has(service)) return json(400, { error: service === "" ? "invalid_request" : "invalid_client", error_description: "Invalid client" });
    const scopes = url.searchParams.getAll("scope");
    if (scopes.length > 1) return json(400, { error: "invalid_request", error_description: "duplicated parameter" });
    const user = userOf(request.headers.authorization);
    if (!user || this.users.get(user.name) !== user.password) {
      return json(401, { errors: [{ code: "UNAUTHORIZED", message: "Invalid username or password.", detail: [] }] });
    }
    const [scope] = scopes;
    const parts = scope === undefined || scope === "" ? undefined : scope.split(":");
    if (parts && parts.length !== 3) return json(500, { error: "unknown_error" });
    const access = parts ? [{ type: parts[0], name: parts[1], actions: parts[2]?.split(",") }] : [];
    return json(200, { token: this.#token(user.name, service, access), expires_in: this.expiresInSeconds, issued_at: new Date().toISOString() });
  }

  #token(user: string, client: string, access: readonly object[]): string {
    const seconds = Math.floor(Date.now() / 1_000);
    const times = { iat: seconds, nbf: seconds, exp: seconds + this.expiresInSeconds };
    const claims = { jti: crypto.randomUUID(), iss: this.issuer, sub: user, aud: client, azp: client, typ: "Bearer", ...times, access };
    return signToken(this.key, claims, { kid: libtrustFingerprint(this.key.publicKey) });
  }

  #encryptionKey(): Record<string, unknown> {
    return jwkOf(this.key, { kid: "for-encryption", use: "enc", alg: "RSA-OAEP" });
  }
}

/** Starts one on a free port of 127.0.0.1. */
export async function startFakeKeycloak(): Promise<FakeKeycloak> {
  const keycloak = new FakeKeycloak();
  await keycloak.accept();
  return keycloak;
}

function json(status: number, body: object): Reply {
  return { status, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}
