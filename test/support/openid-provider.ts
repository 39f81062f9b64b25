/**
 * OpenidProvider: a real provider of identities (npm's oidc-provider) on a port of its own, mounted and behaving like Authentik: below
 * `/application/o/registry/`, an issuer with a slash at its end, access tokens that are JWTs with the person's claims in them, and a
 * userinfo that takes those. People are what the test says they are; whoever is sent there is logged in as `visitor`.
 */
import { createHash, generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import Provider, { type Context } from "oidc-provider";
import { unsignedClaims } from "./unsigned-jwt.ts";

/** Claims beside `sub`. */
export type OpenidPerson = Readonly<Record<string, unknown>>;

export interface OpenidProviderOptions {
  /** By subject. May be changed while it runs. */
  readonly people: Map<string, OpenidPerson>;
  readonly clientSecret?: string;
  /** Where it sends browsers back to. */
  readonly redirectUris?: readonly string[];
  /** More of the client's registration. */
  readonly client?: object;
  /** More of the provider's configuration. */
  readonly more?: object;
  /** False: it lists no groups outside of userinfo, as most providers but Authentik. */
  readonly tellsInTokens?: boolean;
}

export interface Ill {
  readonly status: number;
  readonly contentType?: string;
  readonly body: string;
}

/** How it keeps one waiting: it takes the request and says nothing; it says that all is well and nothing more; or it goes on a byte at a time. */
export type Hang = "silent" | "headers" | "trickle";

export interface OpenidProvider extends AsyncDisposable {
  /** With a slash at its end. */
  readonly issuer: string;
  readonly origin: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly people: Map<string, OpenidPerson>;
  /** The subject that logs in; undefined: somebody who says no. */
  visitor: string | undefined;
  /** `GET /application/o/registry/jwks`, in order of arrival; without query. */
  readonly requests: string[];
  /** What it answers at a path below its own (`/token`) for as long as it is ill there. */
  readonly ills: Map<string, Ill>;
  /** Where, likewise, it keeps one waiting. */
  readonly hangs: Map<string, Hang>;
  /** Sends browsers back to this address too. */
  allow(redirectUri: string): void;
  /** Its keys are others from now on; what it signed by the old ones it signs no more. */
  rotateKeys(): void;
  /** Does what a browser does that is sent to `url`: logs in, and comes back to the address outside of the provider that it is sent to. */
  visit(url: URL): Promise<URL>;
  /** An access token for us, as this person would have it from the provider's own pages. */
  accessToken(subject: string): Promise<string>;
  /** Cuts every connection and refuses new ones, until `accept`. */
  refuse(): Promise<void>;
  accept(): Promise<void>;
}

export const defaultRedirectUri = "http://127.0.0.1:1/zot/auth/callback/oidc";
const mount = "/application/o/registry";
const resource = "urn:registry";
const scopes = "openid profile email groups offline_access";

/** Starts one on a free port of 127.0.0.1, with one client, `registry`. */
export async function startOpenidProvider({
  people,
  clientSecret = "client-secret",
  redirectUris = [defaultRedirectUri],
  client = {},
  more = {},
  tellsInTokens = true,
}: OpenidProviderOptions): Promise<OpenidProvider> {
  const clientId = "registry";
  const requests: string[] = [];
  const ills = new Map<string, Ill>();
  const hangs = new Map<string, Hang>();
  const sockets = new Set<Socket>();
  const server = createServer((incoming, response) => {
    const path = (incoming.url ?? "").split("?", 1)[0] ?? "";
    requests.push(`${incoming.method} ${path}`);
    if (!path.startsWith(`${mount}/`)) return void response.writeHead(404).end();
    const ill = ills.get(path.slice(mount.length));
    if (ill) return void response.writeHead(ill.status, { "content-type": ill.contentType ?? "text/html" }).end(ill.body);
    const hang = hangs.get(path.slice(mount.length));
    if (hang) return keepWaiting(response, hang);
    if (path.startsWith(`${mount}/enter/`)) return void finishInteraction(incoming, response);
    if (path === `${mount}/userinfo`) return tellUserinfo(incoming, response);
    Object.assign(incoming, { originalUrl: incoming.url, url: (incoming.url ?? "").slice(mount.length) });
    current.callback()(incoming, response);
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  const listen = (port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", () => {
        server.off("error", reject);
        resolve();
      });
    });
  const refuse = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    if (server.listening) await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  await listen(0);
  const { port } = server.address() as AddressInfo; // A TCP server that listens has this shape of address.
  const origin = `http://127.0.0.1:${port}`;
  const issuer = `${origin}${mount}/`;
  const allowed = [...redirectUris];
  const adapter = memory();
  let key = newKey();
  let current = make();

  function make(): Provider {
    return new Provider(issuer, {
      adapter,
      clients: [
        {
          client_id: clientId,
          client_secret: clientSecret,
          grant_types: ["authorization_code", "refresh_token"],
          redirect_uris: allowed,
          post_logout_redirect_uris: ["http://127.0.0.1:1/login"],
          ...client,
        },
      ],
      jwks: { keys: [key] },
      routes: { userinfo: "/userinfo" },
      cookies: { keys: ["cookies of a test"] },
      scopes: scopes.split(" "),
      claims: { openid: ["sub"], profile: ["name", "preferred_username", "groups"], email: ["email", "email_verified"], groups: ["groups"] },
      conformIdTokenClaims: !tellsInTokens,
      findAccount: (_context: unknown, subject: string) => {
        const claims = people.get(subject);
        return claims && { accountId: subject, claims: () => ({ sub: subject, ...claims }) };
      },
      interactions: { url: (_context: unknown, { uid }: { readonly uid: string }) => `${mount}/enter/${uid}` },
      issueRefreshToken: () => true,
      rotateRefreshToken: true,
      loadExistingGrant: async ({ oidc }: Context) => {
        const grant = new oidc.provider.Grant({ clientId, accountId: oidc.session.accountId });
        grant.addOIDCScope(scopes);
        grant.addResourceScope(resource, scopes);
        await grant.save();
        return grant;
      },
      extraTokenClaims: (_context: unknown, { accountId }: { readonly accountId?: string }) => ({
        azp: clientId,
        ...(tellsInTokens && accountId !== undefined ? people.get(accountId) : {}),
      }),
      features: {
        devInteractions: { enabled: false },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => resource,
          useGrantedResource: () => true,
          getResourceServerInfo: () => ({ scope: scopes, audience: clientId, accessTokenFormat: "jwt", accessTokenTTL: 3_600 }),
        },
      },
      ttl: { AccessToken: 3_600, IdToken: 3_600, Session: 86_400, Grant: 86_400, Interaction: 600, RefreshToken: 86_400 },
      ...more,
    });
  }

  async function finishInteraction(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const { visitor } = provider;
    const result = visitor === undefined ? { error: "access_denied", error_description: "the person said no" } : { login: { accountId: visitor } };
    await current.interactionFinished(incoming, response, result).catch((error: unknown) => response.writeHead(500).end(String(error)));
  }

  /** The library's own takes no token that is made for somebody. */
  function tellUserinfo({ headers }: IncomingMessage, response: ServerResponse): void {
    const claims = unsignedClaims((headers.authorization ?? "").replace(/^bearer /i, ""));
    const subject = typeof claims?.["sub"] === "string" ? claims["sub"] : "";
    const person = people.get(subject);
    const isOver = typeof claims?.["exp"] !== "number" || claims["exp"] < Date.now() / 1_000;
    if (!person || isOver) return void response.writeHead(401, { "www-authenticate": 'Bearer error="invalid_token"' }).end();
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ sub: subject, ...person }));
  }

  const provider: OpenidProvider = {
    issuer,
    origin,
    clientId,
    clientSecret,
    people,
    visitor: undefined,
    requests,
    ills,
    hangs,
    allow(redirectUri) {
      allowed.push(redirectUri);
      current = make();
    },
    rotateKeys() {
      key = newKey();
      current = make();
    },
    visit: (url) => follow(url, origin),
    async accessToken(subject) {
      const [verifier, before] = [randomUUID() + randomUUID(), provider.visitor];
      provider.visitor = subject;
      const parameters = { client_id: clientId, response_type: "code", redirect_uri: defaultRedirectUri, scope: "openid profile email groups" };
      const challenge = { code_challenge: createHash("sha256").update(verifier).digest("base64url"), code_challenge_method: "S256" };
      const back = await follow(new URL(`${issuer}auth?${new URLSearchParams({ ...parameters, ...challenge }).toString()}`), origin);
      provider.visitor = before;
      const form = { grant_type: "authorization_code", code: back.searchParams.get("code") ?? "", redirect_uri: defaultRedirectUri, code_verifier: verifier };
      const authorization = `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString("base64")}`;
      const answer = await fetch(`${issuer}token`, { method: "POST", headers: { authorization }, body: new URLSearchParams(form) });
      return ((await answer.json()) as { readonly access_token: string }).access_token;
    },
    refuse,
    accept: () => listen(port),
    async [Symbol.asyncDispose]() {
      await refuse();
    },
  };
  return provider;
}

const trickleMs = 100;

/** Until the client has had enough. */
function keepWaiting(response: ServerResponse, hang: Hang): void {
  if (hang === "silent") return;
  response.writeHead(200, { "content-type": "application/json" }).flushHeaders();
  if (hang === "headers") return;
  const trickling = setInterval(() => response.write(" "), trickleMs); // As much as may stand before an object.
  response.once("close", () => clearInterval(trickling));
}

/** What it has given, by kind and id; it outlives the provider's keys. As the library asks for it. */
function memory(): (kind: string) => object {
  const held = new Map<string, Record<string, unknown>>();
  const findBy = (kind: string, key: string, value: string): Record<string, unknown> | undefined =>
    [...held].find(([name, one]) => name.startsWith(`${kind}:`) && one[key] === value)?.[1];
  return (kind) => ({
    upsert: async (id: string, one: Record<string, unknown>) => void held.set(`${kind}:${id}`, one),
    find: async (id: string) => held.get(`${kind}:${id}`),
    findByUid: async (uid: string) => findBy(kind, "uid", uid),
    consume: async (id: string) => void Object.assign(held.get(`${kind}:${id}`) ?? {}, { consumed: Math.floor(Date.now() / 1_000) }),
    destroy: async (id: string) => void held.delete(`${kind}:${id}`),
    revokeByGrantId: async (grantId: string) => {
      for (const [name, one] of held) if (one["grantId"] === grantId) held.delete(name);
    },
  });
}

function newKey(): object {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2_048 });
  return { ...privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: randomUUID() };
}

const redirectsMax = 10;

async function follow(start: URL, origin: string): Promise<URL> {
  const cookies = new Map<string, string>();
  let url = start;
  for (let count = 0; count < redirectsMax && url.origin === origin; count++) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await fetch(url, { redirect: "manual", headers: { cookie } });
    for (const line of answer.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      cookies.set(name, value);
    }
    const location = answer.headers.get("location");
    if (location === null) throw new Error(`the provider answered ${answer.status}: ${(await answer.text()).slice(0, 500)}`);
    url = new URL(location, url);
  }
  return url;
}
