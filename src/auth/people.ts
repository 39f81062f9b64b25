/**
 * People: who has logged in, and which groups they had then: an API key acts for its owner long after, when nobody is there to ask. Kept for
 * 400 days from the last login.
 */
import type { Clock } from "../oci/clock.ts";
import { findObject, textOf } from "./json-object.ts";
import type { Principal } from "./principal.ts";
import type { Records } from "./records.ts";
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
    const { records, clock } = this.#options;
    const seenAtMs = clock.now();
    const known = await this.find(person.name);
    if (known && seenAtMs - known.seenAtMs < noteMs && isSame(known, person)) return;
    const { name, groups, method, provider, email } = person;
    await records.write(pathOf(name), JSON.stringify({ name, groups, method, provider, email, seenAtMs }), { lifeMs: personLifeMs });
  }

  /** Undefined: nobody of that name has logged in for 400 days. Throws `RecordsUnavailable`. */
  async find(name: string): Promise<KnownPerson | undefined> {
    const text = await this.#options.records.read(pathOf(name));
    const person = text === undefined ? undefined : readKnownPerson(text);
    return person?.name === name ? person : undefined;
  }
}

/** How somebody is known of whom it is known who vouches: `htpasswd`, `ldap`, or a provider by its name, which is none of a method. */
export function methodOf(by: string): Pick<KnownPerson, "method" | "provider"> {
  return by === "htpasswd" || by === "ldap" ? { method: by } : { method: "oidc", provider: by };
}

function pathOf(name: string): readonly [string, string] {
  return ["people", userKeyOf(name)];
}

function isSame(one: Omit<KnownPerson, "seenAtMs">, other: Omit<KnownPerson, "seenAtMs">): boolean {
  const said = ({ groups, method, provider, email }: Omit<KnownPerson, "seenAtMs">): string => JSON.stringify([groups, method, provider ?? "", email ?? ""]);
  return said(one) === said(other);
}

/** Undefined for a text that was torn. */
function readKnownPerson(text: string): KnownPerson | undefined {
  const read = findObject(text);
  const [name, method, seenAtMs, groups] = [textOf(read?.["name"]), knownMethod(read?.["method"]), read?.["seenAtMs"], read?.["groups"]];
  if (name === undefined || method === undefined || typeof seenAtMs !== "number" || !Array.isArray(groups)) return undefined;
  const [provider, email] = [textOf(read?.["provider"]), textOf(read?.["email"])];
  return { name, method, seenAtMs, groups: groups.filter((group) => typeof group === "string"), provider, email };
}

const methods: readonly Principal["method"][] = ["htpasswd", "ldap", "mtls", "bearer", "oidc", "token", "apikey", "session"];

function knownMethod(value: unknown): Principal["method"] | undefined {
  return methods.find((method) => method === value);
}
