/**
 * Ldap: users and passwords of a directory. It is searched for the name, as a service where one is configured, and must find exactly one
 * entry; then the password is tried as that entry, on another connection. RFC 4511, RFC 4513.
 */
import { randomBytes } from "node:crypto";
import type { Entry, Filter, SearchOptions } from "ldapts";
import type { Clock } from "../oci/clock.ts";
import type { Log } from "../oci/log.ts";
import type { Secret } from "../oci/secret.ts";
import type { Login, PasswordBackend, PasswordVerdict } from "./authenticator.ts";
import type { DirectoryPeople, DirectoryPerson } from "./directory-people.ts";
import { DirectoryBreaker } from "./directory-breaker.ts";
import { LdapConnection, type LdapAddress, type LdapTransport } from "./ldap-connection.ts";
import { groupsOf, hasValue, identityOf } from "./ldap-entry.ts";
import { LdapPool } from "./ldap-pool.ts";
import { untilAborted } from "../oci/waiting.ts";

/** For all of a login: dialling, securing, searching, binding. */
const loginMs = 3_000;

export interface LdapOptions extends LdapAddress {
  readonly baseDn: string;
  readonly userAttribute: string;
  /** RFC 4515; what an entry must match besides. */
  readonly userFilter: string | undefined;
  readonly userGroupAttribute: string | undefined;
  /** Holds e-mail addresses. */
  readonly mailAttribute: string;
  /** Everything below the base; else its immediate children. */
  readonly subtreeSearch: boolean;
  /** Undefined: the directory is searched without a name. */
  readonly service: LdapService | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

export interface LdapService {
  readonly dn: string;
  readonly password: Secret;
}

type Library = typeof import("ldapts");

/** Loads the library; dials nobody. Throws an Error when `userFilter` is none. Close it. */
export async function openLdap(options: LdapOptions): Promise<Ldap> {
  return new Ldap(await import("ldapts"), options);
}

export class Ldap implements PasswordBackend, DirectoryPeople {
  readonly method = "ldap";
  readonly #library: Library;
  readonly #options: LdapOptions;
  readonly #userFilter: Filter | undefined;
  readonly #breaker: DirectoryBreaker;
  readonly #searchers: LdapPool;
  readonly #binders: LdapPool;

  /** Throws an Error when `userFilter` is none. */
  constructor(library: Library, options: LdapOptions) {
    const { clock, log, userFilter } = options;
    this.#library = library;
    this.#options = options;
    this.#userFilter = userFilter === undefined ? undefined : parseFilter(library, userFilter);
    const directory = `${options.host}:${options.port}`;
    const onChange = (reason: string | undefined): void =>
      reason === undefined ? log.info({ directory }, "directory answers again") : log.warn({ directory, reason }, "directory is away");
    this.#breaker = new DirectoryBreaker({ clock, onChange });
    this.#binders = this.#pool(undefined);
    this.#searchers = this.#pool(options.service);
  }

  /** Within three seconds, at once while the directory is known to be away. Rejects with the signal's reason; what was asked is then still answered to nobody. */
  async verify(login: Login, signal: AbortSignal): Promise<PasswordVerdict> {
    // An empty password is a bind without a name, which every directory admits: RFC 4513, 5.1.2.
    if (login.password === "" || login.user.trim() === "") return { kind: "wrong" };
    const away = this.#breaker.enter();
    return away === undefined ? await untilAborted(this.#ask(login), signal) : { kind: "unavailable", reason: away };
  }

  /** As quick as `verify`. */
  async findByMail(mail: string): Promise<DirectoryPerson> {
    const { mailAttribute } = this.#options;
    return await this.#find(mailAttribute, mail, (entry) => hasValue(entry, mailAttribute, mail));
  }

  /** As quick as `verify`. */
  async findByName(name: string): Promise<DirectoryPerson> {
    return await this.#find(this.#options.userAttribute, name, () => true);
  }

  close(): void {
    this.#searchers.close();
    this.#binders.close();
  }

  async #find(attribute: string, value: string, isMeant: (entry: Entry) => boolean): Promise<DirectoryPerson> {
    if (value.trim() === "") return { kind: "none" };
    const away = this.#breaker.enter();
    if (away !== undefined) return { kind: "unavailable", reason: away };
    return await this.#attempt(async (untilMs) => {
      const { userAttribute, userGroupAttribute } = this.#options;
      const [entry, ...others] = (await this.#search(attribute, value, untilMs)).filter(isMeant);
      if (!entry) return { kind: "none" };
      const name = others.length === 0 ? identityOf(entry, userAttribute, value) : undefined;
      return name === undefined ? { kind: "several" } : { kind: "one", name, groups: groupsOf(entry, userGroupAttribute) };
    });
  }

  /** Never rejects. */
  async #ask(login: Login): Promise<PasswordVerdict> {
    return await this.#attempt((untilMs) => this.#searchAndBind(login, untilMs));
  }

  /** Never rejects. */
  async #attempt<Answer>(work: (untilMs: number) => Promise<Answer>): Promise<Answer | { readonly kind: "unavailable"; readonly reason: string }> {
    try {
      const answer = await work(this.#options.clock.elapsed() + loginMs);
      this.#breaker.answered();
      return answer;
    } catch (error) {
      const reason = wordsOf(error);
      this.#breaker.failed(reason);
      return { kind: "unavailable", reason };
    }
  }

  async #searchAndBind({ user, password }: Login, untilMs: number): Promise<PasswordVerdict> {
    const { userAttribute, userGroupAttribute, baseDn } = this.#options;
    const entries = await this.#search(userAttribute, user, untilMs);
    const entry = entries.length === 1 ? entries[0] : undefined;
    const name = entry && identityOf(entry, userAttribute, user);
    if (!entry || name === undefined || !entry.dn.includes("=")) {
      // As many questions as for a name that is there.
      await this.#binds(`cn=${randomBytes(8).toString("hex")},${baseDn}`, randomBytes(12).toString("hex"), untilMs);
      return { kind: "wrong" };
    }
    if (!(await this.#binds(entry.dn, password, untilMs))) return { kind: "wrong" };
    return { kind: "right", principal: { name, groups: groupsOf(entry, userGroupAttribute), method: "ldap" } };
  }

  #search(attribute: string, value: string, untilMs: number): Promise<readonly Entry[]> {
    return this.#searchers.use((connection) => connection.search(this.#options.baseDn, this.#question(attribute, value)), untilMs);
  }

  #question(attribute: string, value: string): SearchOptions {
    const { userAttribute, userGroupAttribute, subtreeSearch } = this.#options;
    // The value travels as it is, in a field of its own: nothing of it can be read as a filter.
    const isUser = new this.#library.EqualityFilter({ attribute, value });
    return {
      scope: subtreeSearch ? "sub" : "one",
      derefAliases: "never",
      filter: this.#userFilter ? new this.#library.AndFilter({ filters: [isUser, this.#userFilter] }) : isUser,
      attributes: [...new Set([userAttribute, ...(userGroupAttribute === undefined ? [] : [userGroupAttribute]), attribute])],
      sizeLimit: 2,
      timeLimit: Math.ceil(loginMs / 1_000),
    };
  }

  async #binds(dn: string, password: string, untilMs: number): Promise<boolean> {
    try {
      await this.#binders.use((connection) => connection.bind(dn, password), untilMs);
      return true;
    } catch (error) {
      if (this.#isRefusal(error)) return false;
      throw error;
    }
  }

  /** Wrong, expired, locked, without a password: the directory answered about this entry. */
  #isRefusal(error: unknown): boolean {
    const { InvalidCredentialsError, InappropriateAuthError, UnwillingToPerformError, ConstraintViolationError, InsufficientAccessError, NoSuchObjectError } =
      this.#library;
    const refusals = [
      InvalidCredentialsError,
      InappropriateAuthError,
      UnwillingToPerformError,
      ConstraintViolationError,
      InsufficientAccessError,
      NoSuchObjectError,
    ];
    return refusals.some((refusal) => error instanceof refusal);
  }

  #pool(service: LdapService | undefined): LdapPool {
    const { ResultCodeError } = this.#library;
    return new LdapPool({
      create: () => new LdapConnection(this.#library, this.#options),
      open: (connection) => this.#open(connection, service),
      isAnswer: (error) => error instanceof ResultCodeError,
      clock: this.#options.clock,
    });
  }

  async #open(connection: LdapConnection, service: LdapService | undefined): Promise<void> {
    if (this.#options.transport === "starttls") await this.#secure(connection);
    if (!service) return;
    try {
      await connection.bind(service.dn, service.password.reveal());
    } catch (error) {
      throw new Error(`${service.dn}, as whom the directory is searched, may not: ${wordsOf(error)}`, { cause: error });
    }
  }

  async #secure(connection: LdapConnection): Promise<void> {
    try {
      await connection.startTls(this.#options);
    } catch (error) {
      if (!(error instanceof this.#library.ResultCodeError)) throw error;
      const cures = "use its TLS port (636) without startTLS, or set insecure: true without startTLS to send passwords in the clear";
      throw new Error(`it offers no StartTLS, so no password was sent: ${cures}`, { cause: error });
    }
  }
}

/** What zot's keys mean together. Port 389 with neither is what zot's documents show: TLS is asked for there, and told of by a notice. */
export function ldapTransport({ port, insecure, startTls }: { port: number | undefined; insecure: boolean; startTls: boolean }): {
  readonly transport: LdapTransport;
  readonly port: number;
  readonly notice?: string;
} {
  if (startTls) return { transport: "starttls", port: port ?? 389 };
  if (insecure) return { transport: "plain", port: port ?? 389 };
  if (port === 389) return { transport: "starttls", port, notice: "port 389 without startTLS and without insecure: StartTLS is used, and required" };
  return { transport: "ldaps", port: port ?? 636 };
}

function parseFilter(library: Library, filter: string): Filter {
  try {
    return library.FilterParser.parseString(filter);
  } catch (error) {
    throw new Error(`userFilter: "${filter}" is not a filter: ${wordsOf(error)}`, { cause: error });
  }
}

function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error && typeof error.code === "string" ? `${error.code} ` : "";
  return `${code}${error.message}`.replaceAll(/\s+/g, " ").trim() || error.name;
}
