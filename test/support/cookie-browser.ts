/** CookieBrowser: what a browser does with cookies, origins and redirects, and nothing else: it follows none unless told to. */

export interface BrowserAsk {
  readonly method?: string;
  /** Sent as a form does. */
  readonly form?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Whose page asks; undefined: somebody typed the address, or a script of our own page asks by GET. */
  readonly from?: string;
}

export class CookieBrowser {
  /** By name. */
  readonly cookies = new Map<string, string>();
  /** Every `Set-Cookie` that it was sent. */
  readonly setCookies: string[] = [];
  readonly #origin: string;

  constructor(origin: string) {
    this.#origin = origin;
  }

  /** Asks, with its cookies. */
  async ask(path: string, { method, form, headers = {}, from }: BrowserAsk = {}): Promise<Response> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(new URL(path, this.#origin), {
      method: method ?? (form ? "POST" : "GET"),
      redirect: "manual",
      headers: { ...(cookie === "" ? {} : { cookie }), ...(from === undefined ? {} : { origin: from }), ...headers },
      ...(form ? { body: new URLSearchParams(form) } : {}),
    });
    for (const line of response.headers.getSetCookie()) this.#keep(line);
    return response;
  }

  /** As zot's pages ask. */
  ui(path: string, asked: BrowserAsk = {}): Promise<Response> {
    return this.ask(path, { ...asked, headers: { ...asked.headers, "x-zot-api-client": "zot-ui" } });
  }

  /** Sends a form of our own page. */
  submit(path: string, form: Readonly<Record<string, string>>): Promise<Response> {
    return this.ask(path, { form, from: this.#origin });
  }

  #keep(line: string): void {
    this.setCookies.push(line);
    const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    if (/;\s*max-age=0\b/i.test(line)) this.cookies.delete(name);
    else this.cookies.set(name, value);
  }
}
