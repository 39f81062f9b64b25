/**
 * AdminDoor: who may use the administrative routes: people whom `adminPolicy` names; whoever can open the server's own socket; and, where
 * nobody is asked who he is and the operator said so, whoever sits at this machine. That last one is the risky one: any page that a
 * browser here shows, and any proxy here, speaks from this machine too.
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
    // Who has a name shows it: being here is no name.
    if (guard.asksWho) return guard.pass(wanted, exchange, serve);
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
  if (exchange.header("origin") !== undefined) return "a page in a browser has sent it (Origin)";
  const site = exchange.header("sec-fetch-site");
  if (site !== undefined && site !== "none") return "a page in a browser has sent it (Sec-Fetch-Site)";
  const forwarded = exchange.headerNames().find((name) => name === "forwarded" || name.startsWith("x-forwarded-"));
  return forwarded === undefined ? undefined : `a proxy has passed it on (${forwarded})`;
}

function isLoopback(address: string): boolean {
  return address === "::1" || (isIP(address) === 4 && address.startsWith("127."));
}

function isLoopbackHost(host: string | undefined): boolean {
  const name = /^(\[[0-9a-f:.]+\]|[^:]*)(?::[0-9]{1,5})?$/i.exec(host ?? "")?.[1]?.toLowerCase();
  return name === "localhost" || (name !== undefined && isLoopback(name.replace(/^\[(.*)\]$/, "$1")));
}
