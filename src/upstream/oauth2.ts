/**
 * OAuth2: a token endpoint that turns who we are into an access token for the registry. RFC 6749 4.4 "Client Credentials Grant",
 * RFC 7523 (JWTs as grants and as client authentication), RFC 8693 "Token Exchange".
 */
import type { Clock } from "../oci/clock.ts";
import { OciError } from "../oci/errors.ts";
import { classifyAddress } from "./addresses.ts";
import { bareHostname } from "./connecting.ts";
import { readCredentialFile } from "./credential-files.ts";
import { basicAuthorization, type CredentialProvider } from "./credentials.ts";
import { findForeignUrl } from "./foreign-url.ts";
import { askTokenEndpoint, tokenIn, type SendRequest, type TokenQuestion } from "./token-endpoint.ts";
import type { Oauth2Options } from "./upstream-options.ts";

/** What a token lives for whose endpoint does not say. */
const lifeMsDefault = 300_000;
/** What registries that take a token as a password expect as the name, when nobody says another. */
const tokenUser = "<token>";

export interface Oauth2Context {
  /** The registry's origin. */
  readonly registry: URL;
  readonly send: SendRequest;
  readonly clock: Clock;
  readonly userAgent: string;
}

type Form = Pick<TokenQuestion, "form" | "authorization" | "secrets">;

/** Asks `tokenUrl` for a token at each fetch. */
export function oauth2Provider(options: Oauth2Options, { registry, send, clock, userAgent }: Oauth2Context): CredentialProvider {
  const url = URL.parse(options.tokenUrl) ?? undefined;
  const who = `oauth2 ${options.grant} at ${url?.host ?? "tokenUrl"}${options.clientId === undefined ? "" : ` as ${options.clientId}`}`;
  return {
    description: who,
    async fetch(signal) {
      const endpoint = { url: permittedTokenUrl(options.tokenUrl, registry, who), send, clock, userAgent, who };
      const question = { ...(await formOf(options, who)), cure: (code: string | undefined) => cures[code ?? ""] ?? "check tokenUrl and its credentials" };
      const answer = await askTokenEndpoint(endpoint, question, signal);
      checkTokenType(answer["token_type"], who, endpoint.url);
      const token = tokenIn(answer, "access_token", endpoint);
      const { use, user = tokenUser } = options;
      return {
        content: use === "bearer" ? { kind: "bearer", token } : { kind: "basic", user, password: token },
        expiresAtMs: clock.now() + lifeMs(answer["expires_in"]),
      };
    },
  };
}

const cures: Readonly<Record<string, string>> = {
  invalid_client: "check clientId and clientSecret (sent as HTTP Basic), or the client's assertionFile",
  invalid_grant: "check that the JWT in assertionFile has not ended, and is from an issuer that is trusted there",
  invalid_scope: "check scope",
  invalid_target: "check audience",
  unauthorized_client: "allow the client this grant there",
  unsupported_grant_type: "it does not know this grant: check tokenUrl and grant",
};

/** https; http only where the registry itself is reached so, or on this machine. */
function permittedTokenUrl(tokenUrl: string, registry: URL, who: string): URL {
  const url = findForeignUrl(tokenUrl, registry);
  if (!url || !URL.canParse(tokenUrl)) throw new OciError("DENIED", `${who}: tokenUrl is no http or https URL, or carries a user; write it in full`);
  const isLocal = url.hostname === "localhost" || classifyAddress(bareHostname(url)) === "loopback";
  if (url.protocol === "http:" && registry.protocol === "https:" && !isLocal)
    throw new OciError("DENIED", `${who}: tokenUrl is reached without TLS, and no secret is sent so; write https://${url.host}`);
  return url;
}

async function formOf({ grant, clientId, clientSecret, assertionFile, scope, audience }: Oauth2Options, who: string): Promise<Form> {
  const assertion = assertionFile === undefined ? undefined : await readCredentialFile(assertionFile, `${who}: assertionFile`);
  const secret = clientSecret?.reveal();
  const authorization = secret === undefined || clientId === undefined ? undefined : basicAuthorization(formEncoded(clientId), formEncoded(secret));
  const common = {
    ...(scope === undefined ? {} : { scope }),
    ...(audience === undefined ? {} : { audience }),
    ...(authorization === undefined && clientId !== undefined ? { client_id: clientId } : {}),
  };
  const secrets = [secret, assertion, authorization?.slice("Basic ".length)].filter((text) => text !== undefined);
  return { form: { ...grantForm(grant, assertion, { hasSecret: secret !== undefined, who }), ...common }, authorization, secrets };
}

function grantForm(
  grant: Oauth2Options["grant"],
  assertion: string | undefined,
  { hasSecret, who }: { hasSecret: boolean; who: string },
): Record<string, string> {
  switch (grant) {
    case "client-credentials":
      if (assertion === undefined && !hasSecret) throw new OciError("DENIED", `${who}: it needs clientId and clientSecret, or an assertionFile`);
      return {
        grant_type: "client_credentials",
        ...(assertion === undefined ? {} : { client_assertion_type: clientAssertionType, client_assertion: assertion }),
      };
    case "jwt-bearer":
      return { grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion: required(assertion, who) };
    case "token-exchange":
      return {
        grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
        subject_token: required(assertion, who),
        subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
        requested_token_type: "urn:ietf:params:oauth:token-type:access_token",
      };
    default:
      return grant satisfies never;
  }
}

const clientAssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

function required(assertion: string | undefined, who: string): string {
  if (assertion !== undefined) return assertion;
  throw new OciError("DENIED", `${who}: it needs an assertionFile, the JWT that is shown`);
}

/** RFC 6749 2.3.1: name and secret are encoded as in a form before they go into Basic. */
function formEncoded(text: string): string {
  return new URLSearchParams({ "": text }).toString().slice(1);
}

/** DPoP and MAC tokens are of no use without their keys; "N_A" is what RFC 8693 has for tokens that are no access tokens. */
function checkTokenType(type: unknown, who: string, url: URL): void {
  if (type === undefined || (typeof type === "string" && ["bearer", "n_a"].includes(type.toLowerCase()))) return;
  throw new OciError("DENIED", `${who}: ${url.host} gives tokens that are no bearer tokens; change the client's token type there`, { source: "upstream" });
}

/** Some servers write numbers as strings. */
function lifeMs(expiresIn: unknown): number {
  const seconds = typeof expiresIn === "string" && expiresIn.trim() !== "" ? Number(expiresIn) : expiresIn;
  return typeof seconds === "number" && Number.isFinite(seconds) && seconds > 0 ? seconds * 1_000 : lifeMsDefault;
}
