/**
 * FakeGoogle: Google's metadata server and token endpoints, in the formats of their documentation: "Fetch an access token from the
 * metadata server", "Using OAuth 2.0 for server to server applications" and "Security Token Service, Method: v1.token".
 */
import { createPublicKey, generateKeyPairSync, verify } from "node:crypto";
import { RecordingServer, type RecordedRequest, type Reply, type TlsFiles } from "./recording-server.ts";

const metadataPath = "/computeMetadata/v1/instance/service-accounts/default/token";

export class FakeGoogle extends RecordingServer {
  /** Public keys of service accounts in PEM, by e-mail address. */
  readonly serviceAccounts = new Map<string, string>();
  /** Tokens of another identity provider that the security token service trusts. */
  readonly federatedTokens = new Set<string>();
  expiresInSeconds = 3_599;
  #issued = 0;

  protected override classify(): { kind: "token"; repository: undefined } {
    return { kind: "token", repository: undefined };
  }

  protected override answer(request: RecordedRequest): Reply {
    const { pathname } = new URL(request.url, this.url);
    if (pathname.startsWith("/computeMetadata/")) return this.#metadata(request, pathname);
    if (request.method === "POST" && pathname === "/token") return this.#jwtGrant(new URLSearchParams(request.body));
    if (request.method === "POST" && pathname === "/v1/token") return this.#exchange(new URLSearchParams(request.body));
    return { status: 404, body: "" };
  }

  #metadata({ headers }: RecordedRequest, path: string): Reply {
    const flavor = { "metadata-flavor": "Google", server: "Metadata Server for VM" };
    if (headers["metadata-flavor"] !== "Google") return { status: 403, headers: flavor, body: "Missing required header Metadata-Flavor: Google" };
    if (path !== metadataPath) return { status: 404, headers: flavor, body: "not found" };
    return { ...this.#token({ token_type: "Bearer" }), headers: { ...flavor, "content-type": "application/json" } };
  }

  #jwtGrant(form: URLSearchParams): Reply {
    if (form.get("grant_type") !== "urn:ietf:params:oauth:grant-type:jwt-bearer") return refusal("unsupported_grant_type", "Invalid grant_type");
    const [header = "", payload = "", signature = ""] = (form.get("assertion") ?? "").split(".");
    const claims = claimsOf(payload);
    const publicKey = this.serviceAccounts.get(String(claims["iss"]));
    if (publicKey === undefined) return refusal("invalid_grant", "Invalid grant: account not found");
    const isSigned = verify("RSA-SHA256", Buffer.from(`${header}.${payload}`), createPublicKey(publicKey), Buffer.from(signature, "base64url"));
    if (!isSigned) return refusal("invalid_grant", "Invalid JWT Signature.");
    if (claims["aud"] !== "https://oauth2.googleapis.com/token") return refusal("invalid_grant", "Invalid JWT: Failed audience check.");
    return this.#token({ token_type: "Bearer" });
  }

  #exchange(form: URLSearchParams): Reply {
    if (!this.federatedTokens.has(form.get("subject_token") ?? ""))
      return refusal("invalid_grant", "The given credential is rejected by the attribute condition.");
    return this.#token({ issued_token_type: "urn:ietf:params:oauth:token-type:access_token", token_type: "Bearer" });
  }

  #token(more: Record<string, string>): Reply {
    return json(200, { access_token: `ya29.fake-${++this.#issued}`, expires_in: this.expiresInSeconds, ...more });
  }
}

/** Starts one on a free port of 127.0.0.1. */
export async function startFakeGoogle(options: { readonly tls?: TlsFiles | undefined } = {}): Promise<FakeGoogle> {
  const google = new FakeGoogle(options);
  await google.accept();
  return google;
}

/** A key of the service account `email`: what Google keeps of it, and the file that it gives away. */
export function newServiceAccountKey(email: string): {
  readonly publicKey: string;
  readonly privateKey: string;
  readonly file: Readonly<Record<string, string>>;
} {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", {
    modulusLength: 2_048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  return {
    publicKey,
    privateKey,
    file: { type: "service_account", project_id: "project", private_key_id: "k1", private_key: privateKey, client_email: email },
  };
}

function refusal(error: string, description: string): Reply {
  return json(400, { error, error_description: description });
}

function json(status: number, body: unknown): Reply {
  return { status, headers: { "content-type": "application/json; charset=utf-8" }, body: JSON.stringify(body) };
}

function claimsOf(payload: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(payload, "base64url").toString("utf8")) as Record<string, unknown>; // The library made it: an object.
}
