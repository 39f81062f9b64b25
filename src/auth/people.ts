/**
 * People: who has logged in, and which groups they had then: an API key acts for its owner long after, when nobody is there to ask. Kept for
 * 400 days from the last login: by name, whoever had it last, and by who it was: a name may be that of several people, one after the other or at once.
 */
import { hash } from "node:crypto";
import type { Clock } from "../oci/clock.ts";
import { findObject, textOf } from "./json-object.ts";
import type { Principal, Voucher } from "./principal.ts";
import type { RecordPath, Records } from "./records.ts";
import { userKeyOf } from "./user-key.ts";

export interface PeopleOptions {
  readonly records: Records;
  readonly clock: Clock;
}

export interface KnownPerson {
  readonly name: string;
  readonly groups: readonly string[];
  /** How they logged in, when it was a session: how that began. */
  readonly method: Principal["method"];
  /** Of identities, when there was one. */
  readonly provider?: string | undefined;
  /** Who they are to it. */
  readonly subject?: string | undefined;
  readonly email?: string | undefined;
  readonly seenAtMs: number;
}

export const personLifeMs = 400 * 86_400_000;
/** Who says nothing new is noted this often. */
const noteMs = 3_600_000;

export class People {
  readonly #options: PeopleOptions;

  constructor(options: PeopleOptions) {
    this.#options = options;
  }

  /** This one has logged in just now. Throws `RecordsUnavailable`. */
  async note(person: Omit<KnownPerson, "seenAtMs">): Promise<void> {
    for (const path of pathsOf(person)) {
      const known = await this.#read(path);
      if (!known || this.#options.clock.now() - known.seenAtMs >= noteMs || !isSame(known, person)) await this.#write(path, person);
    }
  }

  /** This one is here, but who was noted at a login is known better. Throws `RecordsUnavailable`. */
  async noteUnknown(person: Omit<KnownPerson, "seenAtMs">): Promise<void> {
    for (const path of pathsOf(person)) if (!(await this.#read(path))) await this.#write(path, person);
  }

  /** Undefined: nobody of that name has logged in for 400 days. Throws `RecordsUnavailable`. */
  async find(name: string): Promise<KnownPerson | undefined> {
    const person = await this.#read(pathOfName(name));
    return person?.name === name ? person : undefined;
  }

  /**
   * Whom `voucher` vouches for, and nobody else of that name; who has one by the password file, a directory or a certificate is one and the same.
   * Undefined: that one has not logged in for 400 days, or had another name at the last login. Throws `RecordsUnavailable`.
   */
  async findBy(name: string, voucher: Voucher): Promise<KnownPerson | undefined> {
    const person = await this.#read(pathOfPerson({ name, ...methodOf(voucher) }));
    return person?.name === name ? person : undefined;
  }

  async #read(path: RecordPath): Promise<KnownPerson | undefined> {
    const text = await this.#options.records.read(path);
    return text === undefined ? undefined : readKnownPerson(text);
  }

  async #write(path: RecordPath, { name, groups, method, provider, subject, email }: Omit<KnownPerson, "seenAtMs">): Promise<void> {
    const { records, clock } = this.#options;
    const seenAtMs = clock.now();
    await records.write(path, JSON.stringify({ name, groups, method, provider, subject, email, seenAtMs }), { lifeMs: personLifeMs });
  }
}

/** How somebody is known of whom it is known who vouches: by a method, or by a provider, which is none. */
export function methodOf({ by, subject }: Voucher): Pick<KnownPerson, "method" | "provider" | "subject"> {
  const method = knownMethod(by);
  return method && method !== "oidc" ? { method } : { method: "oidc", provider: by, subject };
}

type Whose = Pick<KnownPerson, "name" | "provider" | "subject">;

function pathsOf(person: Whose): readonly RecordPath[] {
  return [pathOfName(person.name), pathOfPerson(person)];
}

function pathOfName(name: string): RecordPath {
  return ["people", userKeyOf(name)];
}

function pathOfPerson({ name, provider, subject }: Whose): RecordPath {
  if (provider === undefined) return ["people-of-names", userKeyOf(name)];
  return ["people-of-providers", hash("sha256", JSON.stringify([provider, subject]), "hex").slice(0, 32)];
}

function isSame(one: Omit<KnownPerson, "seenAtMs">, other: Omit<KnownPerson, "seenAtMs">): boolean {
  const said = ({ name, groups, method, provider, subject, email }: Omit<KnownPerson, "seenAtMs">): string =>
    JSON.stringify([name, groups, method, provider ?? "", subject ?? "", email ?? ""]);
  return said(one) === said(other);
}

/** Undefined for a text that was torn. */
function readKnownPerson(text: string): KnownPerson | undefined {
  const read = findObject(text);
  const [name, method, seenAtMs, groups] = [textOf(read?.["name"]), knownMethod(read?.["method"]), read?.["seenAtMs"], read?.["groups"]];
  if (name === undefined || method === undefined || typeof seenAtMs !== "number" || !Array.isArray(groups)) return undefined;
  const [provider, subject, email] = [textOf(read?.["provider"]), textOf(read?.["subject"]), textOf(read?.["email"])];
  return { name, method, seenAtMs, groups: groups.filter((group) => typeof group === "string"), provider, subject, email };
}

const methods: readonly Principal["method"][] = ["htpasswd", "ldap", "mtls", "bearer", "oidc", "token", "apikey", "session"];

function knownMethod(value: unknown): Principal["method"] | undefined {
  return methods.find((method) => method === value);
}
