/**
 * LoginBudgets: how many wrong passwords an address may try. Beyond that nothing is looked at for the rest of the minute, except what
 * was right within a day: a guesser behind the same address shuts out nobody who has been here.
 */
import { isIPv6, SocketAddress } from "node:net";
import { LRUCache } from "lru-cache";
import type { Clock } from "../oci/clock.ts";

const windowMs = 60_000;
const knownMs = 24 * 3_600_000;
const usersMax = 50_000;
const addressesMax = 20_000;
const knownMax = 50_000;
/** One's own failures weigh more than those of the others behind the same address. */
const ownWeight = 20;

export interface LoginBudgetsOptions {
  /** Wrong passwords a minute for one name from one address, and for one address. 0: any number. */
  readonly perUser: number;
  readonly perAddress: number;
  readonly clock: Clock;
}

export interface Attempt {
  /** The more failures, the higher; below zero for those who are known. */
  readonly rank: number;
  /** Exactly one of these is called, once; until then the attempt counts as if it were wrong. */
  right(): void;
  wrong(): void;
  /** Nobody looked, or nobody answered. */
  abstained(): void;
}

interface Tally {
  failed: number;
  underWay: number;
  /** When `failed` begins anew; counted from the first failure. */
  untilMs: number;
}

export class LoginBudgets {
  readonly #options: LoginBudgetsOptions;
  readonly #byUser = new LRUCache<string, Tally>({ max: usersMax });
  readonly #byAddress = new LRUCache<string, Tally>({ max: addressesMax });
  /** Until when a login is known, by its digest. */
  readonly #known = new LRUCache<string, number>({ max: knownMax });

  constructor(options: LoginBudgetsOptions) {
    this.#options = options;
  }

  /** `digest` stands for name and password. When the budget is used up: how long it is. */
  enter({ client, user, digest }: { client: string; user: string; digest: string }): Attempt | { readonly retryAfterMs: number } {
    const { perUser, perAddress, clock } = this.#options;
    const nowMs = clock.elapsed();
    const address = budgetAddress(client);
    const ofUser = tally(this.#byUser, `${address} ${user}`, nowMs);
    const ofAddress = tally(this.#byAddress, address, nowMs);
    const isKnown = nowMs < (this.#known.get(digest) ?? 0);
    if (!isKnown) {
      const over = [isOver(ofUser, perUser) ? ofUser : undefined, isOver(ofAddress, perAddress) ? ofAddress : undefined].filter((spent) => spent !== undefined);
      if (over.length > 0) return { retryAfterMs: Math.max(1_000, ...over.map(({ untilMs }) => untilMs - nowMs)) };
    }
    const tallies = isKnown ? [] : [ofUser, ofAddress];
    for (const entry of tallies) entry.underWay++;
    const leave = (): void => {
      for (const entry of tallies) entry.underWay--;
    };
    return {
      rank: isKnown ? -1 : ownWeight * (ofUser.failed + ofUser.underWay) + ofAddress.failed + ofAddress.underWay,
      right: () => {
        leave();
        this.#known.set(digest, clock.elapsed() + knownMs);
      },
      wrong: () => {
        leave();
        this.#known.delete(digest);
        this.#fail(`${address} ${user}`, address);
      },
      abstained: leave,
    };
  }

  #fail(userKey: string, addressKey: string): void {
    const nowMs = this.#options.clock.elapsed();
    for (const entry of [tally(this.#byUser, userKey, nowMs), tally(this.#byAddress, addressKey, nowMs)]) {
      if (entry.failed === 0) entry.untilMs = nowMs + windowMs;
      entry.failed++;
    }
  }
}

/** Who counts as one: an IPv4 address, however it came, and what an IPv6 user is given at least, a /64. */
export function budgetAddress(client: string): string {
  return networkOf(client, 4) ?? plainIpv4(client);
}

/** The network of an IPv6 address: what a site is given at most, a /48. Undefined of IPv4, where addresses are few. */
export function budgetNetwork(client: string): string | undefined {
  return networkOf(client, 3);
}

/** Of an IPv6 address its first groups; undefined for IPv4, however it came. */
function networkOf(client: string, groupCount: number): string | undefined {
  const bare = withoutZone(client);
  if (!isIPv6(bare)) return undefined;
  const { address } = new SocketAddress({ address: bare, family: "ipv6" });
  if (address.startsWith(mappedPrefix) && address.includes(".")) return undefined;
  const [head = "", tail] = address.split("::");
  const groups = head === "" ? [] : head.split(":");
  const last = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: tail === undefined ? 0 : Math.max(0, 8 - groups.length - last.length) }, () => "0");
  return `${[...groups, ...zeros, ...last].slice(0, groupCount).join(":")}::/${groupCount * 16}`;
}

function plainIpv4(client: string): string {
  const bare = withoutZone(client);
  if (!isIPv6(bare)) return bare;
  return new SocketAddress({ address: bare, family: "ipv6" }).address.slice(mappedPrefix.length);
}

const mappedPrefix = "::ffff:";

function withoutZone(client: string): string {
  return client.split("%", 1)[0] ?? "";
}

function isOver({ failed, underWay }: Tally, limit: number): boolean {
  return limit > 0 && failed + underWay >= limit;
}

function tally(tallies: LRUCache<string, Tally>, key: string, nowMs: number): Tally {
  const entry = tallies.get(key) ?? { failed: 0, underWay: 0, untilMs: nowMs + windowMs };
  if (nowMs >= entry.untilMs) {
    entry.failed = 0;
    entry.untilMs = nowMs + windowMs;
  }
  tallies.set(key, entry);
  return entry;
}
