/**
 * AdminDoor: who may use the administrative routes: people whom `adminPolicy` names; whoever can open the server's own socket; and, where
 * nobody is asked who he is and the operator said so, whoever sits at this machine. That last one is the risky one: any page that a
 * browser here shows, and any proxy here, speaks from this machine too. A browser that knows a password or a certificate sends it with
 * whatever a page asks of it, so pages of others are turned away there as well.
 */
import { isIP } from "node:net";
import { plainAddress } from "./client-address.ts";
import type { Answer } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import type { Guard } from "./guard.ts";

export interface AdminDoorOptions {
  readonly guard: Guard;
  /** What `adminApi` says: who may without a name, over TCP. */
  readonly open: "off" | "loopback";
}

/** What a proxy adds. One that adds nothing, and speaks to us as localhost, cannot be told from a program here. */
const proxyHeaders = /^(?:forwarded|via|x-real-ip|x-forwarded-.*)$/;
const otherWays = "or use admin.sock in statePath";

export class AdminDoor {
  readonly #options: AdminDoorOptions;

  constructor(options: AdminDoorOptions) {
    this.#options = options;
  }

  /** Lets the request through to `serve`, or answers it. */
  pass(exchange: Exchange, serve: () => Answer | Promise<Answer>): Answer | Promise<Answer | Response> {
    const { guard, open } = this.#options;
    const wanted = { kind: "admin" } as const;
    if (guard.asksWho) {
      const page = pageBehind(exchange, { sitesAllowed: ["none", "same-origin"] });
      // Who has a name shows it: being here is no name.
      if (page === undefined) return guard.pass(wanted, exchange, serve);
      return guard.refuse(wanted, exchange, { rule: "no page in a browser", message: `the administrative routes are not for pages, and ${page}` });
    }
    if (open === "off") {
      return guard.refuse(wanted, exchange, {
        rule: "adminApi: off",
        message: `the administrative routes are closed: set adminApi: loopback, configure auth and accessControl.adminPolicy, ${otherWays}`,
      });
    }
    const problem = problemWith(exchange);
    if (problem === undefined) return serve();
    return guard.refuse(wanted, exchange, {
      rule: "adminApi: loopback",
      message: `adminApi: loopback is for this machine alone, and ${problem}; configure auth and accessControl.adminPolicy, ${otherWays}`,
    });
  }
}

/** Why a request may come from elsewhere, or be somebody else's idea; undefined when it is neither. */
function problemWith(exchange: Exchange): string | undefined {
  const peers = exchange.peers.map(plainAddress);
  if (peers.length === 0 || !peers.every(isLoopback)) return "this request comes from another";
  // A page of somebody's whose name leads here by now: the browser takes it for the page's own server.
  if (!isLoopbackHost(exchange.header("host"))) return "its Host is not localhost";
  const page = pageBehind(exchange, { sitesAllowed: ["none"] });
  if (page !== undefined) return page;
  const forwarded = exchange.headerNames().find((name) => proxyHeaders.test(name));
  return forwarded === undefined ? undefined : `a proxy has passed it on (${forwarded})`;
}

/** By which header a browser tells that a page made it ask, and not whoever sits before it; undefined when none does. */
function pageBehind(exchange: Exchange, { sitesAllowed }: { readonly sitesAllowed: readonly string[] }): string | undefined {
  if (exchange.header("origin") !== undefined) return "a page in a browser has sent it (Origin)";
  const site = exchange.header("sec-fetch-site");
  return site === undefined || sitesAllowed.includes(site) ? undefined : "a page in a browser has sent it (Sec-Fetch-Site)";
}

function isLoopback(address: string): boolean {
  return address === "::1" || (isIP(address) === 4 && address.startsWith("127."));
}

function isLoopbackHost(host: string | undefined): boolean {
  const name = /^(\[[0-9a-f:.]+\]|[^:]*)(?::[0-9]{1,5})?$/i.exec(host ?? "")?.[1]?.toLowerCase();
  return name === "localhost" || (name !== undefined && isLoopback(name.replace(/^\[(.*)\]$/, "$1")));
}
