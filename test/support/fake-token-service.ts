/** FakeTokenService: gives bearer tokens by GET, as Docker's token authentication has it, and knows which of them hold. */
import { RecordingServer, type RecordedRequest, type Reply, type TlsFiles } from "./recording-server.ts";

interface IssuedToken {
  readonly user: string | undefined;
  readonly scopes: readonly string[];
  expired: boolean;
}

export type TokenState = "valid" | "expired" | "insufficient" | "unknown";

export class FakeTokenService extends RecordingServer {
  /** Names and passwords; anybody else who brings a password is refused. */
  readonly users = new Map<string, string>();
  /** Repositories that an anonymous token does not open. */
  readonly privateRepositories = new Set<string>();
  /** Where the token stands in the answer. */
  tokenField: "token" | "access_token" = "token";
  /** Said in the answer; undefined says nothing. Tokens do not end by themselves: see `expireAll`. */
  expiresInSeconds: number | undefined = 300;
  /** Tokens that nobody will ever take: the second 401. */
  givesUselessTokens = false;
  readonly #issued = new Map<string, IssuedToken>();

  get realm(): string {
    return `${this.url}/token`;
  }

  /** Ends every token given so far. */
  expireAll(): void {
    for (const token of this.#issued.values()) token.expired = true;
  }

  /** Gives a token to `user` (undefined: anybody) by another way than its own. */
  issue(user: string | undefined, scopes: readonly string[]): string {
    const token = `token-${this.#issued.size + 1}`;
    this.#issued.set(token, { user, scopes, expired: false });
    return token;
  }

  /** What a registry thinks of `token` for pulling from `repository`; undefined is the registry itself. */
  judge(token: string, repository: string | undefined): TokenState {
    const issued = this.#issued.get(token);
    if (!issued || this.givesUselessTokens) return "unknown";
    if (issued.expired) return "expired";
    if (repository === undefined) return "valid";
    const isGranted = issued.scopes.some((scope) => scope.startsWith(`repository:${repository}:`) && scope.includes("pull"));
    const isAllowed = issued.user !== undefined || !this.privateRepositories.has(repository);
    return isGranted && isAllowed ? "valid" : "insufficient";
  }

  protected override classify(path: string): { kind: "token" | "other"; repository: undefined } {
    return { kind: path === "/token" ? "token" : "other", repository: undefined };
  }

  protected override answer(request: RecordedRequest): Reply {
    if (request.kind !== "token") return { status: 404, body: "" };
    if (request.method !== "GET") return { status: 405, body: "" };
    const user = userOf(request.headers.authorization);
    if (user && this.users.get(user.name) !== user.password) return { status: 401, body: JSON.stringify({ details: "incorrect username or password" }) };
    const scopes = new URL(request.url, this.url).searchParams.getAll("scope").flatMap((scope) => scope.split(" "));
    const token = this.issue(user?.name, scopes);
    const answer = { [this.tokenField]: token, ...(this.expiresInSeconds === undefined ? {} : { expires_in: this.expiresInSeconds }) };
    return { status: 200, headers: { "content-type": "application/json" }, body: JSON.stringify(answer) };
  }
}

/** Starts one on a free port of 127.0.0.1. */
export async function startFakeTokenService(options: { readonly tls?: TlsFiles | undefined } = {}): Promise<FakeTokenService> {
  const tokens = new FakeTokenService(options);
  await tokens.accept();
  return tokens;
}

/** Name and password of a Basic header; undefined for any other header, or none. */
export function userOf(authorization: string | undefined): { name: string; password: string } | undefined {
  const match = /^basic (.+)$/i.exec(authorization ?? "");
  const [name, ...rest] = Buffer.from(match?.[1] ?? "", "base64")
    .toString("utf8")
    .split(":");
  return match && name !== undefined ? { name, password: rest.join(":") } : undefined;
}
