/** The app: every URL that clients see. A handler parses, makes one call, and answers; errors become answers in one place. */
import { Hono } from "hono";
import type { AccountDesk } from "../auth/account-desk.ts";
import type { KeyAnswer } from "../auth/api-key-service.ts";
import type { DeviceLogins } from "../auth/device-logins.ts";
import type { SignInRoutes } from "../auth/sign-in.ts";
import type { Pages } from "../web/pages.ts";
import { adminPaths, answerAdmin, type AdminActions } from "./admin.ts";
import { AdminDoor, type AdminDoorOptions } from "./admin-door.ts";
import type { Answer } from "./answer.ts";
import { apiHandler, type ApiOptions } from "./api.ts";
import { answerApiKeys, apiKeysPath } from "./api-keys.ts";
import { answerDevice, answerDevicePage, devicePagePath, devicePaths } from "./devices.ts";
import type { Exchange, NodeBindings } from "./exchange.ts";
import { Guard, type GuardOptions } from "./guard.ts";
import { methodsOf, onlyReading, unknownPath } from "./methods.ts";
import { answerLiveness, answerMetrics, answerReadiness, livenessPaths, metricsPath, readinessPath, type ProbeOptions } from "./probes.ts";
import { answerPage, answerSignInPage, pagePaths, signInPath } from "./pages.ts";
import { rootAnswer } from "./root.ts";
import { routed, servant, type ServantSettings } from "./servant.ts";
import { answerSessions, answerSignIn, sessionsPath } from "./sign-in.ts";
import { answerTokens, tokenPaths, type TokenAnswer } from "./tokens.ts";

/** An app as `listen` takes it and tests ask it by `app.request`. */
export type App = HonoApp & {
  /** Answers a request below `/v2/` that came by Node; the app itself would do the same, at a tenth more of the whole cost. */
  readonly serveApi?: (bindings: NodeBindings) => Response | Promise<Response>;
};

type HonoApp = Hono<{ Bindings: NodeBindings }>;

/** What every app needs. */
export interface ExchangeSettings extends ProbeOptions, ServantSettings {}

export interface AppOptions extends ExchangeSettings, ApiOptions, GuardOptions {
  readonly version: string;
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
  const says = { hasPages: pages !== undefined, version: options.version };
  app.all("/", routed(serve("other", async (exchange) => onlyReading(exchange) ?? rootAnswer(exchange, says))));
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
