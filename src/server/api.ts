/** The registry API: once a request's names are understood and before anything is looked up, the gate is asked; then its handler answers. */
import type { Wanted } from "../auth/visit.ts";
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import type { Reference } from "../oci/reference.ts";
import type { RegistryNames } from "../oci/registry-names.ts";
import type { Registry } from "../oci/registry.ts";
import type { Holdings } from "../oci/views.ts";
import { apiVersionHeader, type Answer } from "./answer.ts";
import { BlobAnswers } from "./blobs.ts";
import { BufferPool } from "./buffer-pool.ts";
import type { Exchange } from "./exchange.ts";
import type { Guard } from "./guard.ts";
import { answerCatalog, answerReferrers, answerTags, type Sees } from "./lists.ts";
import { ManifestAnswers } from "./manifests.ts";
import { isReading, methodsOf, onlyReading, unknownPath } from "./methods.ts";
import { RouteFinder } from "./route-finder.ts";
import type { Route } from "./routes.ts";
import type { Handler } from "./servant.ts";

export interface ApiOptions {
  readonly clock: Clock;
  readonly log: Log;
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
  readonly bufferPool?: BufferPool;
}

/** An upstream may be waited for without end, as the operator wishes. Clients do not decide for how long they hold on to our memory. */
const stallTimeoutMaxMs = 3_600_000;

const ping: Answer = { status: 200, headers: ["Content-Type", "application/json", "Content-Length", "2", ...apiVersionHeader], body: "{}" };

/** Answers every request of the API, and says of every other path that there is nothing. */
export function apiHandler(options: ApiOptions, guard: Guard): Handler {
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
