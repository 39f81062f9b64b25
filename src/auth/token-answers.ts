/** Token answers: what a token service says, in a form that all its clients read, and that nobody on the way may keep. */

/** Both worlds' way to say no: registries' `errors`, and OAuth 2.0's `error` (RFC 6749 5.2). */
export function refuseToken(
  status: number,
  code: string,
  message: string,
  { error, headers = {} }: { error?: string | undefined; headers?: Readonly<Record<string, string>> } = {},
): Response {
  const inOauth = error === undefined ? {} : { error, error_description: message };
  return answerToken(status, { errors: [{ code, message }], ...inOauth }, headers);
}

/** 401: a password is asked for, by Basic, whatever the tokens are. */
export function askForPassword(realm: string, message: string, error?: string): Response {
  const headers = { "WWW-Authenticate": `Basic realm="${realm.replaceAll(/[^\x20-\x7e]|["\\]/g, "")}"` };
  return refuseToken(401, "UNAUTHORIZED", message, { headers, error });
}

/** 503: nobody can tell just now. */
export function tellUnavailable(): Response {
  const message = "the credentials cannot be checked just now: what they are checked by does not answer";
  return refuseToken(503, "UNAVAILABLE", message, { headers: { "Retry-After": "5" } });
}

export function answerToken(status: number, body: object, headers: Readonly<Record<string, string>> = {}): Response {
  const common = { "Content-Type": "application/json", "Cache-Control": "no-store", Pragma: "no-cache" };
  return new Response(JSON.stringify(body), { status, headers: { ...common, ...headers } });
}
