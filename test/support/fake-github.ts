/** FakeGithub: GitHub as far as logging in goes: OAuth 2 with PKCE, and the API's pages about a user, in the shapes of its documentation. */
import { createHash } from "node:crypto";
import { RecordingServer, type RecordedRequest, type Reply } from "./recording-server.ts";

export class FakeGithub extends RecordingServer {
  readonly clientId = "github-client";
  readonly clientSecret = "github-secret";
  user: Readonly<Record<string, unknown>> = { id: 583_231, login: "octocat", name: "The Octocat", email: null };
  emails: readonly object[] = [
    { email: "octocat@users.noreply.github.com", primary: false, verified: true, visibility: null },
    { email: "octocat@example.com", primary: true, verified: true, visibility: "private" },
  ];
  organizations: readonly string[] = [];
  /** `organization/team`. */
  teams: readonly string[] = [];
  /** Access tokens that count. */
  readonly tokens = new Set<string>();
  /** By code: what it was given for. */
  readonly #codes = new Map<string, { readonly challenge: string; readonly redirectUri: string }>();

  /** What a browser does that is sent there, and agrees: where it comes back to. */
  visit(url: URL): URL {
    const { searchParams } = url;
    const redirectUri = searchParams.get("redirect_uri") ?? "";
    const code = `code-${this.#codes.size}`;
    this.#codes.set(code, { challenge: searchParams.get("code_challenge") ?? "", redirectUri });
    const back = new URL(redirectUri);
    back.searchParams.set("code", code);
    back.searchParams.set("state", searchParams.get("state") ?? "");
    return back;
  }

  protected override classify(): { kind: "other"; repository: undefined } {
    return { kind: "other", repository: undefined };
  }

  protected override answer(request: RecordedRequest): Reply {
    const { pathname, searchParams } = new URL(request.url, this.url);
    if (request.method === "POST" && pathname === "/login/oauth/access_token") return this.#token(request);
    const authorization = request.headers.authorization ?? "";
    if (!this.tokens.has(authorization.replace("Bearer ", "")))
      return json({ message: "Bad credentials", documentation_url: "https://docs.github.com/rest" }, 401);
    const page = Number(searchParams.get("page") ?? 1);
    switch (pathname) {
      case "/api/user":
        return json(this.user);
      case "/api/user/emails":
        return this.#page(pathname, this.emails, page);
      case "/api/user/orgs":
        return this.#page(
          pathname,
          this.organizations.map((login, id) => ({ login, id })),
          page,
        );
      case "/api/user/teams":
        return this.#page(
          pathname,
          this.teams.map((team) => ({ name: team, slug: team.split("/")[1], organization: { login: team.split("/")[0] } })),
          page,
        );
      default:
        return json({ message: "Not Found" }, 404);
    }
  }

  /** As GitHub: what is wrong is told with status 200. */
  #token({ body }: RecordedRequest): Reply {
    const form = new URLSearchParams(body);
    if (form.get("client_id") !== this.clientId || form.get("client_secret") !== this.clientSecret)
      return json({ error: "incorrect_client_credentials", error_description: "The client_id and/or client_secret passed are incorrect." });
    const given = this.#codes.get(form.get("code") ?? "");
    this.#codes.delete(form.get("code") ?? "");
    const challenge = createHash("sha256")
      .update(form.get("code_verifier") ?? "")
      .digest("base64url");
    if (!given || given.challenge !== challenge) return json({ error: "bad_verification_code", error_description: "The code passed is incorrect or expired." });
    if (given.redirectUri !== form.get("redirect_uri")) return json({ error: "redirect_uri_mismatch" });
    const token = `gho_${this.tokens.size}`;
    this.tokens.add(token);
    return json({ access_token: token, scope: "read:org,user:email", token_type: "bearer" });
  }

  #page(path: string, items: readonly object[], page: number): Reply {
    const size = 100;
    const isLast = page * size >= items.length;
    const link = isLast ? {} : { link: `<${this.url}${path}?per_page=${size}&page=${page + 1}>; rel="next"` };
    return { ...json(items.slice((page - 1) * size, page * size)), headers: { "content-type": "application/json", ...link } };
  }
}

/** Starts one on a free port of 127.0.0.1. */
export async function startFakeGithub(): Promise<FakeGithub> {
  const github = new FakeGithub();
  await github.accept();
  return github;
}

function json(value: unknown, status = 200): Reply {
  return { status, headers: { "content-type": "application/json; charset=utf-8" }, body: JSON.stringify(value) };
}
