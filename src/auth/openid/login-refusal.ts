/** Why a login came to nothing, in words for the log, with what an operator may do about it: from what the provider or the library says. */
import { LoginRefused, ProviderUnavailable } from "./provider.ts";

/** What providers mean by the words of RFC 6749 4.1.2.1 and 5.2, and OpenID Connect Core 1.0, 3.1.2.6. */
const hints: Readonly<Record<string, string>> = {
  invalid_client: "clientid or clientsecret are not those that the provider has for us",
  unauthorized_client: "the provider does not let this client log people in by a code: it is to be a client with the authorization code flow",
  invalid_grant: "the code was used or is over, or the redirect address that the provider has for us is another",
  invalid_scope: "the provider does not know one of auth.openid scopes: ask only for those that it offers",
  insufficient_scope: "the scope openid is missing",
  invalid_request: "most often the redirect address: the provider must have exactly ours",
  redirect_uri_mismatch: "the provider must have exactly our redirect address",
};

/** An error to throw in its place: `LoginRefused`, `ProviderUnavailable`, or the error itself when it is neither's. */
export async function loginRefusal(error: unknown, provider: string): Promise<unknown> {
  const { AuthorizationResponseError, ResponseBodyError, WWWAuthenticateChallengeError, ClientError } = await import("openid-client");
  const unavailable = causes(error).find((cause) => cause instanceof ProviderUnavailable);
  if (unavailable) return unavailable;
  if (error instanceof AuthorizationResponseError || error instanceof ResponseBodyError) return refusedBy(error.error, error.error_description, error);
  if (error instanceof WWWAuthenticateChallengeError) {
    const word = error.cause.map(({ parameters }) => parameters["error"]).find((said) => said !== undefined);
    return refusedBy(word ?? `status ${error.status}`, undefined, error);
  }
  if (error instanceof ClientError) {
    const detail = causes(error)
      .flatMap((cause) => (cause instanceof Error ? [cause.message] : []))
      .join(": ");
    return new LoginRefused(`the answer of openid provider ${provider} cannot be trusted: ${detail}${codeOf(error.code)}`, hintForDetail(detail), {
      cause: error,
      word: "unreadable",
    });
  }
  return error;

  function refusedBy(word: string, description: string | undefined, cause: Error): LoginRefused {
    const said = description === undefined ? "" : ` (${plain(description)})`;
    return new LoginRefused(`openid provider ${provider} says ${plain(word)}${said}`, Object.hasOwn(hints, word) ? hints[word] : undefined, { cause, word });
  }
}

/** What somebody else wrote, on one line of a log. */
function plain(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, " ").slice(0, 200);
}

function codeOf(code: string | undefined): string {
  return code === undefined ? "" : ` (${code})`;
}

function hintForDetail(detail: string): string | undefined {
  if (/JWE|encrypted/i.test(detail)) return "it encrypts its tokens: take the encryption key away (Authentik: Providers, Edit, Encryption Key)";
  return /"alg"|algorithm/i.test(detail) ? "choose an RSA or EC signing key for it (Authentik: Providers, Edit, Signing Key)" : undefined;
}

/** An error and what caused it, outermost first. */
function causes(error: unknown): readonly unknown[] {
  const chain: unknown[] = [];
  for (let at = error; at !== undefined && chain.length < causesMax; at = at instanceof Error ? at.cause : undefined) chain.push(at);
  return chain;
}

const causesMax = 8;
