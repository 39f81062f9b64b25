/**
 * JwtTokenService: a token service as registries have it in earnest: it signs what it gives (ES256, with the certificate in `x5c`), and
 * whoever trusts its certificate's authority can check that. Docker's "Token Authentication Implementation".
 */
import { createPrivateKey, randomUUID, sign, X509Certificate } from "node:crypto";
import type { IssuedCertificate } from "./certificates.ts";
import { userOf } from "./fake-token-service.ts";
import { RecordingServer, type RecordedRequest, type Reply } from "./recording-server.ts";

export class JwtTokenService extends RecordingServer {
  readonly issuer = "test-issuer";
  readonly service = "test-registry";
  /** Names and passwords. Each may pull everything; nobody else gets a token. */
  readonly users = new Map<string, string>();
  readonly #certificate: IssuedCertificate;

  constructor(certificate: IssuedCertificate) {
    super();
    this.#certificate = certificate;
  }

  get realm(): string {
    return `${this.url}/token`;
  }

  protected override classify(): { kind: "token"; repository: undefined } {
    return { kind: "token", repository: undefined };
  }

  protected override answer(request: RecordedRequest): Reply {
    const user = userOf(request.headers.authorization);
    if (!user || this.users.get(user.name) !== user.password) return { status: 401, body: "" };
    const query = new URL(request.url, this.url).searchParams;
    const access = query.getAll("scope").map((scope) => {
      const [type, name] = scope.split(":");
      return { type, name, actions: ["pull"] };
    });
    const nowSeconds = Math.floor(Date.now() / 1_000);
    const times = { iat: nowSeconds, nbf: nowSeconds - 10, exp: nowSeconds + 300 };
    const token = this.#signed({ iss: this.issuer, sub: user.name, aud: query.get("service"), jti: randomUUID(), ...times, access });
    return { status: 200, headers: { "content-type": "application/json" }, body: JSON.stringify({ token, expires_in: 300 }) };
  }

  #signed(claims: object): string {
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
    const x5c = [new X509Certificate(this.#certificate.certificate).raw.toString("base64")];
    const text = `${part({ alg: "ES256", typ: "JWT", x5c })}.${part(claims)}`;
    const key = createPrivateKey(this.#certificate.key);
    return `${text}.${sign("sha256", Buffer.from(text), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
  }
}

/** Starts one on a free port of 127.0.0.1 that signs with the certificate's key. */
export async function startJwtTokenService(certificate: IssuedCertificate): Promise<JwtTokenService> {
  const tokens = new JwtTokenService(certificate);
  await tokens.accept();
  return tokens;
}
