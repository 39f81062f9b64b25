/** Session records: what is kept of a session, and reading it: a record that is torn, or says something else, is as good as none. */
import { findObject, textOf } from "./json-object.ts";

/** Who signed in, and how. */
export interface SessionPerson {
  readonly user: string;
  readonly groups: readonly string[];
  /** `htpasswd`, `ldap`, or a provider's name. */
  readonly by: string;
  /** Who it is to a provider. */
  readonly subject?: string | undefined;
  /** Another one once the password of the file is, or once the provider has gone back on its word; undefined: nobody can be asked again. */
  readonly stamp?: string | undefined;
}

/** What a provider gave for later. */
export interface SessionTokens {
  /** Shown to it at the end. */
  readonly idToken: string | undefined;
}

export interface Session extends SessionPerson {
  /** Names it, and is no secret. */
  readonly id: string;
  readonly startedAtMs: number;
  readonly untilMs: number;
  /** From where it was begun. */
  readonly client: string;
  readonly userAgent: string;
  /** Of all sessions, as it was when this one began. */
  readonly epoch: string;
}

/** Undefined for what is none, or for another one than `id`. */
export function readSession(text: string | undefined, id: string): Session | undefined {
  const read = findObject(text);
  const [user, by, client, userAgent] = [textOf(read?.["user"]), textOf(read?.["by"]), textOf(read?.["client"]), textOf(read?.["userAgent"])];
  const [groups, startedAtMs, untilMs] = [textsOf(read?.["groups"]), read?.["startedAtMs"], read?.["untilMs"]];
  if (user === undefined || by === undefined || client === undefined || userAgent === undefined || !groups) return undefined;
  if (typeof startedAtMs !== "number" || typeof untilMs !== "number" || read?.["id"] !== id) return undefined;
  const [subject, stamp, epoch] = [textOf(read["subject"]), textOf(read["stamp"]), textOf(read["epoch"]) ?? firstEpoch];
  return { id, user, by, groups, startedAtMs, untilMs, client, userAgent, subject, stamp, epoch };
}

/** Another one each time that everybody's sessions are ended: those of an earlier one are over. */
export const sessionEpochPath = ["session-epochs", "everybodys"] as const;

/** Which epoch it is. */
export function readEpoch(text: string | undefined): string {
  return textOf(findObject(text)?.["epoch"]) ?? firstEpoch;
}

/** Until everybody's sessions are ended for the first time. */
const firstEpoch = "first";

/** When it was, in milliseconds since 1970. */
export function readTime(text: string | undefined): number | undefined {
  const atMs = findObject(text)?.["atMs"];
  return typeof atMs === "number" ? atMs : undefined;
}

/** What a provider gave. */
export function readTokens(text: string): SessionTokens | undefined {
  const read = findObject(text);
  return read && { idToken: textOf(read["idToken"]) };
}

function textsOf(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) && value.every((item) => typeof item === "string") ? value : undefined;
}
