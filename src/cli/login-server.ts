/**
 * LoginServer: a registry of ours that is asked to let this terminal in: the terminal's side of RFC 8628. What it answers is somebody else's word,
 * and is cut and made plain before anybody sees it.
 */
import { errorIn, nameIn, secondsIn, textIn, webUrlIn, wordIn, type Members } from "./answer-words.ts";
import type { ShownLogin } from "./auth-file-text.ts";
import { FormPoster, type FormPosterOptions } from "./form-poster.ts";
import { ServerAway } from "./server-away.ts";

export interface AskedLogin {
  readonly deviceCode: string;
  readonly userCode: string;
  /** Where it is typed in, and the same with the code in it. */
  readonly pageUrl: string;
  readonly completeUrl: string;
  /** Whose page that is, where it is not the very one that was asked. */
  readonly elsewhere: string | undefined;
  readonly lifeMs: number;
  readonly intervalMs: number;
}

export interface WantedLogin {
  readonly label: string | undefined;
  readonly host: string;
  readonly keyLifeMs: number | undefined;
  readonly isReadOnly: boolean;
}

export type LoginState =
  | { readonly kind: "pending" }
  /** From now on less often. */
  | { readonly kind: "slower" }
  | { readonly kind: "done"; readonly login: ShownLogin; readonly keyLifeMs: number | undefined };

const clientId = "ociregistry";
/** No terminal waits longer, or asks less often, or tells of a day that is further off, whatever a server says. */
const [codeLifeMsMax, intervalMsMax, keyLifeMsMax] = [3_600_000, 60_000, 100 * 365 * 86_400_000];
/** What other registries answer to a path that they do not know, and older ones of ours. */
const notHere: ReadonlySet<number> = new Set([401, 403, 404, 405, 501]);

export class LoginServer {
  readonly #origin: string;
  readonly #poster: FormPoster;

  constructor(options: FormPosterOptions) {
    this.#origin = options.origin;
    this.#poster = new FormPoster(options);
  }

  /** Asks for a code. Throws `ServerAway`, and an Error in words of what to do. */
  async begin({ label, host, keyLifeMs, isReadOnly }: WantedLogin, signal: AbortSignal): Promise<AskedLogin> {
    const wanted = {
      label,
      host,
      key_expires_in: keyLifeMs === undefined ? undefined : String(Math.round(keyLifeMs / 1_000)),
      scope: isReadOnly ? "read" : undefined,
    };
    const { status, body } = await this.#post("/zot/auth/device", wanted, signal);
    if (notHere.has(status)) throw this.#notHere(status, body);
    if (status !== 200) throw this.#refused(status, body);
    const [deviceCode, userCode, page] = [wordIn(body, "device_code"), wordIn(body, "user_code"), body["verification_uri"]];
    const [lifeMs, intervalMs] = [secondsIn(body, "expires_in", codeLifeMsMax), secondsIn(body, "interval", intervalMsMax) ?? 5_000];
    if (deviceCode === undefined || userCode === undefined || page === undefined || lifeMs === undefined) throw this.#notHere(status, {});
    return { deviceCode, userCode, ...this.#pageIn(body), lifeMs, intervalMs };
  }

  /** What has become of it. Throws `ServerAway`, and an Error once nothing will come of it. */
  async look(deviceCode: string, signal: AbortSignal): Promise<LoginState> {
    const form = { grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code: deviceCode };
    const { status, body } = await this.#post("/zot/auth/device/token", form, signal);
    const error = wordIn(body, "error");
    if (error === "authorization_pending") return { kind: "pending" };
    if (error === "slow_down") return { kind: "slower" };
    if (error === "access_denied") throw new Error(`it was refused: ${this.#wordsOf(body)}`);
    if (error === "expired_token") throw new Error("nobody has approved it in time: begin again");
    if (status !== 200) throw this.#refused(status, body);
    const [user, secret] = [nameIn(body, "username"), wordIn(body, "access_token")];
    if (user === undefined || secret === undefined) throw new Error(`${this.#origin} has approved it, and gives nothing that could be kept`);
    return { kind: "done", login: { user, secret }, keyLifeMs: secondsIn(body, "expires_in", keyLifeMsMax) };
  }

  /** Ends a key. Throws `ServerAway`, and an Error. */
  async end({ user, secret }: ShownLogin, signal: AbortSignal): Promise<void> {
    const { status, body } = await this.#post("/zot/auth/device/revoke", { username: user, token: secret }, signal);
    if (status !== 200) throw notHere.has(status) ? this.#notHere(status, body) : this.#refused(status, body);
  }

  /** Throws an Error for one that nobody should open who has asked us. */
  #pageIn(body: Members): Pick<AskedLogin, "pageUrl" | "completeUrl" | "elsewhere"> {
    const [page, complete] = [webUrlIn(body, "verification_uri"), webUrlIn(body, "verification_uri_complete")];
    const isSafe = page?.protocol === "https:" || !this.#origin.startsWith("https:");
    if (!page || !isSafe) {
      const words = textIn(body, "verification_uri") ?? "nothing that is an address";
      throw new Error(`${this.#origin} names a page to approve at that is not safe to open (${words}): it must be https, with no name or password in it`);
    }
    const completeUrl = complete?.origin === page.origin ? complete.href : page.href;
    return { pageUrl: page.href, completeUrl, elsewhere: page.origin === this.#origin ? undefined : page.origin };
  }

  async #post(path: string, fields: Readonly<Record<string, string | undefined>>, signal: AbortSignal): ReturnType<FormPoster["post"]> {
    return await this.#poster.post(path, { client_id: clientId, ...fields }, signal);
  }

  #refused(status: number, body: Members): Error {
    const words = `${this.#origin} answers ${status}: ${this.#wordsOf(body)}`;
    return status === 429 || status >= 500 ? new ServerAway(words) : new Error(words);
  }

  #notHere(status: number, body: Members): Error {
    const said = status === 404 ? errorIn(body) : undefined;
    return new Error(`${this.#origin} lets nobody in from a terminal (${status}): ${said ?? "is it an ociregistry, with API keys switched on (auth.apikey)?"}`);
  }

  #wordsOf(body: Members): string {
    return errorIn(body) ?? "nothing that says why";
  }
}
