/** FakeIssuer: an OpenID provider as far as those see it who only check its tokens: the discovery document and the key set. */
import { RecordingServer, type RecordedRequest, type Reply, type TlsFiles } from "./recording-server.ts";

export class FakeIssuer extends RecordingServer {
  /** The key set's members. */
  keys: readonly Readonly<Record<string, unknown>>[] = [];
  /** What userinfo says, when the document names one; undefined: the token counts no more. */
  person: Readonly<Record<string, unknown>> | undefined = undefined;
  /** What the discovery document says beside, or in place of, the right things. */
  document: Readonly<Record<string, unknown>> = {};

  get issuer(): string {
    return `${this.url}/realms/work`;
  }

  get keySetUrl(): string {
    return `${this.issuer}/keys`;
  }

  protected override classify(): { kind: "other"; repository: undefined } {
    return { kind: "other", repository: undefined };
  }

  protected override answer({ method, url }: RecordedRequest): Reply {
    if (method !== "GET") return { status: 405, body: "" };
    if (url === "/realms/work/.well-known/openid-configuration") return json({ issuer: this.issuer, jwks_uri: this.keySetUrl, ...this.document });
    if (url === "/realms/work/keys") return json({ keys: this.keys });
    if (url === "/realms/work/userinfo") return this.person ? json(this.person) : { status: 401, body: "" };
    return { status: 404, body: "no such page" };
  }
}

/** Starts one on a free port of 127.0.0.1. */
export async function startFakeIssuer(options: { readonly tls?: TlsFiles | undefined } = {}): Promise<FakeIssuer> {
  const issuer = new FakeIssuer(options);
  await issuer.accept();
  return issuer;
}

function json(value: unknown): Reply {
  return { status: 200, headers: { "content-type": "application/json" }, body: JSON.stringify(value) };
}
