/** The app: every URL that clients see. A handler parses, makes one call, and answers; errors become answers in one place. */
import { Hono, type Context } from "hono";
import type { AccountDesk } from "../auth/account-desk.ts";
import type { KeyAnswer } from "../auth/api-key-service.ts";
import type { DeviceLogins } from "../auth/device-logins.ts";
import type { SignInRoutes } from "../auth/sign-in.ts";
import type { Wanted } from "../auth/visit.ts";
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import type { Log } from "../oci/log.ts";
import type { Reference } from "../oci/reference.ts";
import type { Registry } from "../oci/registry.ts";
import type { RegistryNames } from "../oci/registry-names.ts";
import type { RequestKind, RequestRecord } from "../oci/request-record.ts";
import type { Holdings } from "../oci/views.ts";
import type { Pages } from "../web/pages.ts";
import { adminPaths, answerAdmin, type AdminActions } from "./admin.ts";
import { AdminDoor, type AdminDoorOptions } from "./admin-door.ts";
import { apiVersionHeader, jsonAnswer, textAnswer, type Answer } from "./answer.ts";
import { answerApiKeys, apiKeysPath } from "./api-keys.ts";
import { BlobAnswers } from "./blobs.ts";
import { BufferPool } from "./buffer-pool.ts";
import type { CrossOriginOptions } from "./cross-origin.ts";
import { TrustedProxies } from "./client-address.ts";
import { answerDevice, answerDevicePage, devicePagePath, devicePaths } from "./devices.ts";
import { bugAnswer, errorAnswer } from "./errors.ts";
import { Exchange, type Asked, type ExchangeOptions, type NodeBindings } from "./exchange.ts";
import { answerCatalog, answerReferrers, answerTags, type Sees } from "./lists.ts";
import { Guard, type GuardOptions } from "./guard.ts";
import { ManifestAnswers } from "./manifests.ts";
import { answerLiveness, answerMetrics, answerReadiness, livenessPaths, metricsPath, readinessPath, type ProbeOptions } from "./probes.ts";
import { answerPage, answerSignInPage, pagePaths, redirectAnswer, signInPath } from "./pages.ts";
import { RouteFinder } from "./route-finder.ts";
import { answerSessions, answerSignIn, sessionsPath } from "./sign-in.ts";
import { answerTokens, tokenPaths, type TokenAnswer } from "./tokens.ts";
import type { Route } from "./routes.ts";

/** An app as `listen` takes it and tests ask it by `app.request`. */
export type App = HonoApp & {
  /** Answers a request below `/v2/` that came by Node; the app itself would do the same, at a tenth more of the whole cost. */
  readonly serveApi?: (bindings: NodeBindings) => Response | Promise<Response>;
};

type HonoApp = Hono<{ Bindings: NodeBindings }>;

/** What every app needs. */
export interface ExchangeSettings extends ProbeOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Told of every request when its last byte has gone. Must not throw. */
  readonly onRequest: (record: RequestRecord) => void;
  /** True while answers shall carry `Connection: close`. */
  readonly draining: () => boolean;
  /** CIDRs and addresses of proxies whose `X-Forwarded-*` count. */
  readonly trustedProxies?: readonly string[];
  /** Which pages of other sites may read what the API and sign-in answer; undefined: none. Probes, pages and administrative routes are for none. */
  readonly crossOrigin?: CrossOriginOptions | undefined;
}

export interface AppOptions extends ExchangeSettings, GuardOptions {
  readonly registry: Registry;
  readonly holdings: Holdings;
  /** What clients' words for registries mean now; the same object until a reload makes another. */
  readonly names: () => RegistryNames;
  /** "deny": only listed registries can be named in a path. */
  readonly unlisted: () => "public" | "deny";
  /** How long a client may take nothing of a body before it is cut; never less than `stallTimeoutMinMs`, nor more than an hour. */
  readonly stallTimeoutMs: number;
  /** A shorter stall is the network's own. */
  readonly stallTimeoutMinMs?: number;
  readonly version: string;
  readonly bufferPool?: BufferPool;
  /** The token service that answers here, while there is one. It asks itself who asks. */
  readonly tokens?: () => TokenAnswer | undefined;
  /** The way in and out for browsers, while there is one. */
  readonly signIn?: () => SignInRoutes | undefined;
  /** Where people make keys for themselves, while there are keys. */
  readonly apiKeys?: () => KeyAnswer | undefined;
  /** How terminals get keys that somebody approves on a page, while there are keys. */
  readonly devices?: () => DeviceLogins | undefined;
  /** Where pages ask for what is somebody's own, while anybody has a name. */
  readonly accounts?: () => AccountDesk | undefined;
  /** What browsers are shown; undefined: nothing. */
  readonly pages?: Pages;
  /** What the administrative routes do, and who may use them without a name; undefined: there are none. */
  readonly admin?: AdminOptions;
}

interface AdminOptions extends Pick<AdminDoorOptions, "open"> {
  readonly actions: AdminActions;
}

type Handler = (exchange: Exchange) => Answer | Promise<Answer | Response>;

type Servant = (asked: Asked) => Response | Promise<Response>;

/**
 * Builds the app for the main port. Blob bodies need Node's own response (`listen`); everything else works by `app.request` too.
 * Throws an Error for a `trustedProxies` entry that is none.
 */
export function createApp(options: AppOptions): App {
  const guard = new Guard(options);
  const app = createProbeApp(options, guard);
  const serve = servant(options);
  const api = apiHandler(options, guard);
  const serveApi = serve("other", api);
  const { pages } = options;
  app.all("/", routed(serve("other", async (exchange) => onlyReading(exchange) ?? rootAnswer(exchange, options))));
  /** Without pages nobody could approve. */
  const devices = (): DeviceLogins | undefined => (pages ? options.devices?.() : undefined);
  const device = serve("other", (exchange) => (exchange.method === "OPTIONS" ? methodsOf("POST, OPTIONS") : answerDevice(exchange, devices())));
  for (const path of devicePaths) app.all(path, routed(device));
  if (pages) {
    const devicePage = serve("page", (exchange) => {
      const refusal = exchange.method === "POST" ? undefined : onlyReading(exchange);
      return refusal ?? answerDevicePage(exchange, { pages, guard, devices: devices() });
    });
    app.all(devicePagePath, routed(devicePage));
    const page = serve("page", (exchange) => {
      const refusal = exchange.method === "POST" ? undefined : onlyReading(exchange);
      return refusal ?? answerPage(exchange, { pages, guard, accounts: options.accounts?.() });
    });
    for (const path of pagePaths) app.all(path, routed(page));
    app.get(signInPath, routed(serve("page", (exchange) => answerSignInPage(exchange, pages))));
  }
  const tokens = serve("other", (exchange) => {
    const answer = options.tokens?.();
    if (!answer) return api(exchange);
    return exchange.method === "OPTIONS" ? methodsOf("GET, POST, OPTIONS") : answerTokens(exchange, answer);
  });
  for (const path of tokenPaths) app.all(path, routed(tokens));
  const keys = serve("other", (exchange) => {
    const answer = options.apiKeys?.();
    if (!answer) return api(exchange);
    if (exchange.method === "OPTIONS") return methodsOf("GET, POST, DELETE, OPTIONS");
    return guard.pass({ kind: "account" }, exchange, (passed, admitted) => answerApiKeys(passed, admitted, answer));
  });
  app.all(apiKeysPath, routed(keys));
  const { admin } = options;
  if (admin) {
    const door = new AdminDoor({ guard, open: admin.open });
    const serveAdmin = servant({ ...options, crossOrigin: undefined });
    app.all(adminPaths, routed(serveAdmin("other", (exchange) => answerAdmin(exchange, { door, actions: admin.actions }))));
  }
  // Where providers send browsers back to is the operator's choice: such paths stand in no table.
  const others = serve("other", (exchange) => {
    const signIn = options.signIn?.();
    if (!signIn) return api(exchange);
    const [path = ""] = exchange.target.split("?", 1);
    if (path === sessionsPath) return answerSessions(exchange, guard, signIn);
    return signIn.takes(path) ? answerSignIn(exchange, signIn) : api(exchange);
  });
  app.all("*", routed(others));
  return Object.assign(app, { serveApi: (bindings: NodeBindings) => serveApi({ bindings }) });
}

/** An app of nothing but the probes and `/metrics`, for the extra plain-HTTP ports: who opens these opens them to whoever reaches them. */
export function createProbeApp(options: ExchangeSettings, guard?: Guard): App {
  const app: HonoApp = new Hono();
  const serve = servant(options);
  for (const path of livenessPaths) app.all(path, routed(serve("probe", async (exchange) => onlyReading(exchange) ?? answerLiveness())));
  app.all(readinessPath, routed(serve("probe", async (exchange) => onlyReading(exchange) ?? answerReadiness(options))));
  const metrics = async (exchange: Exchange): Promise<Answer> => onlyReading(exchange) ?? (await answerMetrics(options));
  app.all(metricsPath, routed(serve("probe", async (exchange) => (guard ? guard.pass({ kind: "metrics" }, exchange, metrics) : metrics(exchange)))));
  app.notFound(routed(serve("other", async (exchange) => unknownPath(exchange))));
  return app;
}

/** An app of probes, administrative routes and the API, for a socket that only its owner can open: nobody is asked who he is. */
export function createAdminApp({ gate: _gate, audit: _audit, crossOrigin: _crossOrigin, ...options }: AppOptions, actions: AdminActions): App {
  const app = createProbeApp(options);
  const serve = servant(options, { forAdministrators: true });
  const door = { pass: (_exchange: Exchange, answer: () => Answer | Promise<Answer>) => answer() };
  app.all(adminPaths, routed(serve("other", (exchange) => answerAdmin(exchange, { door, actions }))));
  app.all("*", routed(serve("other", apiHandler(options, new Guard({})))));
  return app;
}

/** Every request of the API passes here: once its names are understood and before anything is looked up, the gate is asked. */
function apiHandler(options: AppOptions, guard: Guard): Handler {
  const { registry, holdings, log, clock, stallTimeoutMinMs = 10_000 } = options;
  const stallTimeoutMs = Math.min(Math.max(options.stallTimeoutMs, stallTimeoutMinMs), stallTimeoutMaxMs);
  const pool = options.bufferPool ?? new BufferPool({ clock });
  const manifests = new ManifestAnswers(registry);
  const blobs = new BlobAnswers({ registry, log, pool, stallTimeoutMs });
  const routes = new RouteFinder();
  const find = (exchange: Exchange): Route | undefined =>
    routes.find(exchange.target, exchange.header("x-registry"), { names: options.names(), unlisted: options.unlisted() });
  /** What becomes of a request that was let in; `route` undefined for what is no path of the API. */
  const serve = (route: Route | undefined, exchange: Exchange, sees: Sees | undefined): Answer | Promise<Answer | Response> => {
    const refusal = onlyReading(exchange);
    if (refusal) return refusal;
    if (!route) return unknownPath(exchange);
    switch (route.kind) {
      case "manifest":
        return manifests.answer(route, exchange);
      case "blob":
        return blobs.answer(route, exchange);
      case "tags":
        return answerTags(route, exchange, registry);
      case "referrers":
        return answerReferrers(route, exchange, registry);
      case "catalog":
        return answerCatalog(route, holdings, sees);
      case "upload":
        return unknownPath(exchange);
      case "ping":
        return ping;
      default:
        return route satisfies never;
    }
  };
  return (exchange) => {
    // As in zot: whoever asks what may be asked is told the same everywhere, and nothing of the path is looked at.
    if (exchange.method === "OPTIONS") return methodsOf("GET, HEAD, OPTIONS");
    if (!guard.isClosed) {
      const route = isReading(exchange) ? find(exchange) : undefined;
      if (route) exchange.understood(route);
      return serve(route, exchange, undefined);
    }
    let route: Route | undefined;
    try {
      route = find(exchange);
    } catch (error) {
      // Who may not be here at all does not learn which names mean something.
      return guard.pass({ kind: "presence" }, exchange, () => Promise.reject(error));
    }
    if (route) exchange.understood(route);
    return guard.pass(wantedOf(route, exchange), exchange, (passed, admitted) =>
      serve(route, passed, route?.kind === "catalog" ? guard.sees(passed, admitted) : undefined),
    );
  };
}

/** What a route needs: a new one does not compile without an answer. */
function wantedOf(route: Route | undefined, { method }: Exchange): Wanted {
  if (!route) return { kind: "presence" };
  switch (route.kind) {
    case "ping":
    case "catalog":
      return { kind: route.kind };
    case "manifest":
    case "blob":
    case "tags":
    case "referrers":
    case "upload": {
      const { repository, writtenName } = route;
      const action = method === "GET" || method === "HEAD" ? "read" : method === "DELETE" ? "delete" : "create";
      return { kind: "repository", action, repository, writtenName, reference: referenceOf(route) };
    }
    default:
      return route satisfies never;
  }
}

function referenceOf(route: Route): Reference | undefined {
  if (route.kind === "manifest") return route.reference;
  return "digest" in route ? { kind: "digest", digest: route.digest } : undefined;
}

/** What an OPTIONS is told. */
function methodsOf(allowed: string): Answer {
  return { status: 204, headers: ["Allow", allowed, ...apiVersionHeader], body: "" };
}

const ping: Answer = { status: 200, headers: ["Content-Type", "application/json", "Content-Length", "2", ...apiVersionHeader], body: "{}" };

/** Runs handlers and sends what they answer; an `OciError` becomes its answer, anything else is our bug and is logged. */
function servant(
  { clock, log, onRequest, draining, crossOrigin, trustedProxies = [] }: ExchangeSettings,
  { forAdministrators = false }: Partial<Pick<ExchangeOptions, "forAdministrators">> = {},
): (kind: RequestKind, handler: Handler) => Servant {
  const closed = { clock, proxies: new TrustedProxies(trustedProxies), draining, onRequest, forAdministrators, crossOrigin: undefined };
  const open = { ...closed, crossOrigin };
  const failed = (exchange: Exchange, error: unknown): Response => {
    if (exchange.clientLeft) return exchange.tellLeft();
    if (error instanceof OciError) return exchange.sendFailure(error);
    log.error({ error, requestId: exchange.requestId, method: exchange.method, target: exchange.target.slice(0, targetLoggedMax) }, "request failed");
    return exchange.send(bugAnswer(exchange.requestId));
  };
  const later = async (exchange: Exchange, answering: Promise<Answer | Response>): Promise<Response> => {
    try {
      const answer = await answering;
      return answer instanceof Response ? answer : exchange.send(answer);
    } catch (error) {
      return failed(exchange, error);
    }
  };
  return (kind, handler) => (asked) => {
    const exchange = new Exchange(asked, kind, kind === "other" ? open : closed);
    try {
      const answer = handler(exchange);
      return answer instanceof Promise ? later(exchange, answer) : exchange.send(answer);
    } catch (error) {
      return failed(exchange, error);
    }
  };
}

/** `serve` as a handler of hono's. */
function routed(serve: Servant): (context: Context<{ Bindings: NodeBindings }>) => Response | Promise<Response> {
  return ({ env, req }) => serve({ bindings: env ?? {}, request: req.raw });
}

const targetLoggedMax = 512;
/** An upstream may be waited for without end, as the operator wishes. Clients do not decide for how long they hold on to our memory. */
const stallTimeoutMaxMs = 3_600_000;

function isReading({ method }: Exchange): boolean {
  return method === "GET" || method === "HEAD";
}

function onlyReading({ method }: Exchange): Answer | undefined {
  if (method === "GET" || method === "HEAD") return undefined;
  return errorAnswer(new OciError("UNSUPPORTED", `${method.slice(0, 16)} is not supported: this registry is read only`));
}

function unknownPath({ target }: Exchange): Answer {
  const path = target.split("?", 1)[0] ?? "";
  return jsonAnswer(404, { errors: [{ code: "UNSUPPORTED", message: `there is nothing at ${path.slice(0, targetLoggedMax)}` }] });
}

/** Who asks for a page by name is a browser; everybody else is told in plain text what this is. */
function rootAnswer(exchange: Exchange, { pages, version }: AppOptions): Answer {
  if (!pages) return textAnswer(200, welcome(version, exchange.header("host")));
  if (exchange.accepts("text/html")) return redirectAnswer("/home", ["Vary", "Accept"]);
  const answer = textAnswer(200, `${welcome(version, exchange.header("host"))}/home       what is held, and how things stand, for browsers\n`);
  return { ...answer, headers: [...answer.headers, "Vary", "Accept"] };
}

function welcome(version: string, host: string | undefined): string {
  const here = host !== undefined && /^[A-Za-z0-9.:[\]-]{1,255}$/.test(host) ? host : "localhost:8080";
  return `ociregistry ${version}: a caching pull-through registry in front of every container registry.

  docker pull ${here}/docker.io/library/alpine:latest
  curl http://${here}/v2/docker.io/library/alpine/manifests/latest

/v2/        the registry API (OCI distribution-spec 1.1, pull)
/readyz     whether it can be sent requests, and how its upstreams are
/metrics    numbers for Prometheus
`;
}
