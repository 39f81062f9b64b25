/** Servant: runs a handler for each request, and sends what it answers, or what its failure means. */
import type { Context } from "hono";
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import type { Log } from "../oci/log.ts";
import type { RequestKind, RequestRecord } from "../oci/request-record.ts";
import type { Answer } from "./answer.ts";
import { TrustedProxies } from "./client-address.ts";
import type { CrossOriginOptions } from "./cross-origin.ts";
import { bugAnswer } from "./errors.ts";
import { Exchange, type Asked, type ExchangeOptions, type NodeBindings } from "./exchange.ts";

export interface ServantSettings {
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

export type Handler = (exchange: Exchange) => Answer | Promise<Answer | Response>;

export type Servant = (asked: Asked) => Response | Promise<Response>;

const targetLoggedMax = 512;

/** Runs handlers and sends what they answer; an `OciError` becomes its answer, anything else is our bug and is logged. */
export function servant(
  { clock, log, onRequest, draining, crossOrigin, trustedProxies = [] }: ServantSettings,
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
export function routed(serve: Servant): (context: Context<{ Bindings: NodeBindings }>) => Response | Promise<Response> {
  return ({ env, req }) => serve({ bindings: env ?? {}, request: req.raw });
}
