/**
 * Sessions: people who have signed in with a browser, until they sign out, stay away for two hours, or the session is as old as it may be.
 * Kept in records, so that every process of one registry knows them; what is kept gives no session away: a browser alone holds the secret.
 * A session ends when its first record goes; nothing that is written of it later brings it back.
 */
import { createHmac, hash, randomBytes, randomUUID } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { Clock } from "../oci/clock.ts";
import type { Secret } from "../oci/secret.ts";
import type { Principal } from "./principal.ts";
import { RecordsUnavailable, unendingMs, type Records } from "./records.ts";
import { seal, unseal, type SealSecret } from "./sealed-text.ts";
import { readEpoch, readSession, readTime, readTokens, sessionEpochPath, type Session, type SessionPerson, type SessionTokens } from "./session-records.ts";
import { userKeyOf } from "./user-key.ts";
import { isSameVoucher } from "./voucher.ts";

/** The cookie's name. */
export const sessionCookie = "session";
/** Unused for longer, a session is over. */
export const sessionIdleMs = 2 * 3_600_000;
/** As old as a session gets. */
export const sessionLifeMs = 12 * 3_600_000;
/** The same where nobody can tell later whether its groups still hold. zot's. */
export const unrenewedLifeMs = 7_200_000;
/** Sessions of one person; the oldest makes room. */
export const sessionsMax = 50;
/** A use is noted this often. */
const noteMs = 60_000;
/** How long what was read is believed: a session that another process ended is over here that soon. */
const trustMs = 1_000;
const rememberedMax = 10_000;
const userAgentLengthMax = 256;

export interface SessionsOptions {
  readonly records: Records;
  readonly clock: Clock;
  readonly keys: SessionKeys;
}

/** `auth.sessionKeysFile`: with another hash key every session is unknown; with another encryption key no token of a provider can be read. */
export interface SessionKeys {
  readonly hashKey: Secret | undefined;
  readonly encryptKey: Secret | undefined;
}

/** A session that is good at this moment. */
export interface LiveSession extends Session {
  readonly usedAtMs: number;
  /** The same object for as long as it means the same. */
  readonly principal: Principal;
}

export interface OpenedSession {
  readonly session: Session;
  /** For the browser's cookie: the only place that has it. */
  readonly value: string;
}

interface Remembered {
  readonly live: LiveSession;
  readonly atElapsedMs: number;
}

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #remembered = new LRUCache<string, Remembered>({ max: rememberedMax });

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /** A new session, with a secret of its own. Throws `RecordsUnavailable`. */
  async open(person: SessionPerson, { tokens, client, userAgent, lifeMs }: OpenOptions): Promise<OpenedSession> {
    const userKey = userKeyOf(person.user);
    await this.#makeRoom(person);
    const value = `${userKey}.${randomBytes(32).toString("base64url")}`;
    const startedAtMs = this.#options.clock.now();
    const session: Session = {
      ...person,
      id: this.#idOf(value),
      startedAtMs,
      untilMs: startedAtMs + lifeMs,
      client,
      userAgent: (userAgent ?? "").slice(0, userAgentLengthMax),
      epoch: await this.#epoch(),
    };
    if (tokens) await this.#keepTokens(session, value, tokens);
    await this.#noteUse(session);
    await this.#write("sessions", session, session);
    return { session, value };
  }

  /** The session of a cookie; undefined when there is none, or none any more. Throws `RecordsUnavailable`. */
  async find(value: string): Promise<LiveSession | undefined> {
    const userKey = userKeyIn(value);
    if (userKey === undefined) return undefined;
    const id = this.#idOf(value);
    const { clock } = this.#options;
    const known = this.#remembered.get(id);
    if (known && clock.elapsed() - known.atElapsedMs < trustMs && clock.now() < known.live.untilMs) return known.live;
    const live = await this.#read(userKey, id, known?.live);
    if (!live) {
      this.#remembered.delete(id);
      return undefined;
    }
    if (clock.now() - live.usedAtMs >= noteMs) await this.#tryToNoteUse(live);
    this.#remembered.set(id, { live, atElapsedMs: clock.elapsed() });
    return live;
  }

  /** Ends the session of a cookie: what its provider gave for it, if that is still there. Throws `RecordsUnavailable`. */
  async end(value: string): Promise<SessionTokens | undefined> {
    const userKey = userKeyIn(value);
    if (userKey === undefined) return undefined;
    const place = { userKey, id: this.#idOf(value) };
    const isThere = await this.#removeFirst(place);
    const tokens = isThere ? await this.#takeTokens(place, value) : undefined;
    await this.#removeRest(place);
    return tokens;
  }

  /** Good ones, the newest first. Throws `RecordsUnavailable`. */
  async list(user: string): Promise<readonly LiveSession[]> {
    const userKey = userKeyOf(user);
    const ids = await this.#options.records.list(["sessions", userKey]);
    const read = await Promise.all(ids.map((id) => this.#read(userKey, id, undefined)));
    return read.filter((live) => live !== undefined).toSorted((one, other) => other.startedAtMs - one.startedAtMs);
  }

  /** Ends one of somebody's sessions: whether there was such a one. Other processes notice within a second. Throws `RecordsUnavailable`. */
  async revoke(user: string, id: string): Promise<boolean> {
    if (!/^[0-9a-f]{64}$/.test(id)) return false;
    const place = { userKey: userKeyOf(user), id };
    const isThere = await this.#removeFirst(place);
    await this.#removeRest(place);
    return isThere;
  }

  /** Ends all of somebody's: how many there were. Throws `RecordsUnavailable`. */
  async revokeAll(user: string): Promise<number> {
    const ids = await this.#options.records.list(["sessions", userKeyOf(user)]);
    const ended = await Promise.all(ids.map((id) => this.revoke(user, id)));
    return ended.filter(Boolean).length;
  }

  /** Ends everybody's: those that were begun until now, whatever the clocks say. Throws `RecordsUnavailable`. */
  async revokeEverybodys(): Promise<void> {
    this.#remembered.clear();
    await this.#options.records.write(sessionEpochPath, JSON.stringify({ epoch: randomUUID() }), { lifeMs: unendingMs });
  }

  /** By now these are its groups, as whoever vouches for it has said. */
  withGroups(session: LiveSession, groups: readonly string[]): LiveSession {
    const principal = principalOf(session, groups, session.principal);
    if (principal === session.principal) return session;
    const live: LiveSession = { ...session, groups, principal };
    const known = this.#remembered.get(session.id);
    if (known) this.#remembered.set(session.id, { ...known, live });
    return live;
  }

  async #read(userKey: string, id: string, known: LiveSession | undefined): Promise<LiveSession | undefined> {
    const { records, clock } = this.#options;
    const [epoch, ...texts] = await Promise.all([this.#epoch(), ...kinds.map((kind) => records.read([kind, userKey, id]))]);
    const [session, usedAtMs] = [readSession(texts[0], id), readTime(texts[1])];
    if (!session || userKeyOf(session.user) !== userKey || clock.now() >= session.untilMs) return undefined;
    if (session.epoch !== epoch) return undefined;
    if (usedAtMs === undefined || clock.now() - usedAtMs >= sessionIdleMs) return undefined;
    const groups = known?.groups ?? session.groups;
    return { ...session, groups, usedAtMs, principal: principalOf(session, groups, known?.principal) };
  }

  async #epoch(): Promise<string> {
    return readEpoch(await this.#options.records.read(sessionEpochPath));
  }

  /** A disk that takes nothing more keeps nobody out: what is not noted only ends sooner, by idling. */
  async #tryToNoteUse(session: LiveSession): Promise<void> {
    try {
      await this.#noteUse(session);
    } catch (error) {
      if (!(error instanceof RecordsUnavailable)) throw error;
    }
  }

  async #noteUse(session: Session): Promise<void> {
    await this.#write("session-uses", session, { atMs: this.#options.clock.now() }, sessionIdleMs);
  }

  async #keepTokens(session: Session, value: string, tokens: SessionTokens): Promise<void> {
    const { records } = this.#options;
    await records.write(["session-tokens", userKeyOf(session.user), session.id], seal(JSON.stringify(tokens), this.#sealBy(value)), {
      lifeMs: this.#leftMs(session),
    });
  }

  async #write(kind: (typeof kinds)[number], session: Session, held: object, lifeMs = Infinity): Promise<void> {
    const { records } = this.#options;
    await records.write([kind, userKeyOf(session.user), session.id], JSON.stringify(held), { lifeMs: Math.min(lifeMs, this.#leftMs(session)) });
  }

  #leftMs({ untilMs }: Session): number {
    return Math.max(1, untilMs - this.#options.clock.now());
  }

  async #takeTokens({ userKey, id }: Place, value: string): Promise<SessionTokens | undefined> {
    const sealed = await this.#options.records.take(["session-tokens", userKey, id]);
    const text = sealed === undefined ? undefined : unseal(sealed, this.#sealBy(value));
    return text === undefined ? undefined : readTokens(text);
  }

  async #removeFirst({ userKey, id }: Place): Promise<boolean> {
    this.#remembered.delete(id);
    return await this.#options.records.remove(["sessions", userKey, id]);
  }

  async #removeRest({ userKey, id }: Place): Promise<void> {
    await Promise.all((["session-uses", "session-tokens"] as const).map((kind) => this.#options.records.remove([kind, userKey, id])));
  }

  async #makeRoom(person: SessionPerson): Promise<void> {
    const { user } = person;
    const sessions = (await this.list(user)).filter((session) => isSameVoucher(session, person));
    for (const { id } of sessions.slice(sessionsMax - 1)) await this.revoke(user, id);
  }

  #idOf(value: string): string {
    const { hashKey } = this.#options.keys;
    return hashKey ? createHmac("sha256", hashKey.reveal()).update(value).digest("hex") : hash("sha256", value, "hex");
  }

  #sealBy(value: string): SealSecret {
    return { secret: value, pepper: this.#options.keys.encryptKey?.reveal() ?? "", use: "session tokens" };
  }
}

interface OpenOptions {
  readonly tokens?: SessionTokens | undefined;
  readonly client: string;
  readonly userAgent: string | undefined;
  /** From now. */
  readonly lifeMs: number;
}

interface Place {
  readonly userKey: string;
  readonly id: string;
}

/** What makes a session, and when it was used. */
const kinds = ["sessions", "session-uses"] as const;

function userKeyIn(value: string): string | undefined {
  return /^([0-9a-f]{32})\.[A-Za-z0-9_-]{43}$/.exec(value)?.[1];
}

/** `known` while it says the same: what was decided for it is remembered by it. */
function principalOf(
  { user: name, by, subject }: Pick<Session, "user" | "by" | "subject">,
  groups: readonly string[],
  known: Principal | undefined,
): Principal {
  const isSame = known?.name === name && known.groups.length === groups.length && known.groups.every((group, at) => group === groups[at]);
  return isSame ? known : { name, groups, method: "session", voucher: { by, ...(subject === undefined ? {} : { subject }) } };
}
