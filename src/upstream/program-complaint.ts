/**
 * What a credential program complains of, told in words of ours. What it printed may hold the secret itself, and no pattern finds
 * every secret; so nothing of it is ever shown but phrases that stand in this list.
 */
import { OciError } from "../oci/errors.ts";
import type { Outcome, Program } from "./run-program.ts";

/** Somebody has to do something. What comes first is what the rest follows from. */
const toMend = [
  "pass not initialized",
  "no secret key",
  "decryption failed",
  "cannot autolaunch d-bus",
  "no credentials server url",
  "no credentials username",
  "not logged in",
  "reauthentication",
  "sso session",
  "invalid_grant",
  "token has expired",
  "expiredtoken",
  "invalidclienttokenid",
  "unrecognizedclientexception",
  "signaturedoesnotmatch",
  "accessdenied",
  "access denied",
  "not authorized to perform",
  "nocredentialproviders",
  "no valid credential",
  "could not find default credentials",
  "failed to refresh cached credentials",
  "failed to get shared config profile",
  "missing region",
  "certificate signed by unknown authority",
  "certificate has expired",
  "command not found",
  "no such file or directory",
  "read-only file system",
  "permission denied",
  "unauthorized",
  "forbidden",
] as const;

/** Somebody is away. */
const toWaitFor = [
  "no such host",
  "temporary failure in name resolution",
  "could not resolve host",
  "connection refused",
  "connection reset",
  "no route to host",
  "network is unreachable",
  "i/o timeout",
  "deadline exceeded",
  "timed out",
  "too many requests",
  "throttling",
  "service unavailable",
  "internal server error",
] as const;

/** The error of a program that did not do what it was asked: how it ended, what of it can be told, and how to see the rest. */
export function complaint({ exitCode, stdout, stderr }: Outcome, what: string, byHand: string): OciError {
  const said = Buffer.concat([stderr, Buffer.from("\n"), stdout])
    .toString("utf8")
    .toLowerCase();
  const isSaid = (phrase: string): boolean => said.includes(phrase);
  const away = toWaitFor.find(isSaid);
  const phrase = away ?? toMend.find(isSaid);
  const code = away === undefined && phrase !== undefined ? "DENIED" : "UPSTREAM_UNAVAILABLE";
  const ended = exitCode === undefined ? "a signal ended it" : `exit code ${exitCode}`;
  return new OciError(code, `${what}: ${ended}${phrase === undefined ? "" : `, and "${phrase}" in what it said`}; to see all of it: ${byHand}`);
}

/** A program as one would type it; its arguments may hold secrets, and stay out. */
export function typed({ command, args }: Program): string {
  return args.length === 0 ? command : `${command} ...`;
}
