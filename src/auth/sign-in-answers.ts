/** Sign-in answers: what browsers are told on the way in and out. Nothing of it may be kept on the way, and nothing is told to where they go next. */

export interface SignInPage {
  readonly title: string;
  /** One sentence for people. */
  readonly message: string;
  /** Where one goes from here. */
  readonly href: string;
  readonly label: string;
  /** Whether the browser goes there by itself. */
  readonly goesOn?: boolean;
}

interface Extras {
  readonly setCookies?: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
}

/** 302, or 303 after a form. */
export function redirect(status: 302 | 303, location: string, extras: Extras = {}): Response {
  return answer(status, null, { ...extras, headers: { ...extras.headers, Location: location } });
}

/** A page as plain as can be: it works wherever sign-in itself does not. */
export function signInPage(status: number, { title, message, href, label, goesOn = false }: SignInPage, extras: Extras = {}): Response {
  const html = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escaped(title)}</title>
<h1>${escaped(title)}</h1>
<p>${escaped(message)}</p>
<p><a href="${escaped(href)}">${escaped(label)}</a></p>
</html>
`;
  // A form's answer that leads to another origin would be stopped by the page's own policy; what comes after it is not the form's any more.
  const refresh: Readonly<Record<string, string>> = goesOn ? { Refresh: `0; url=${href}` } : {};
  return answer(status, html, { ...extras, headers: { ...extras.headers, ...refresh, "Content-Type": "text/html; charset=utf-8" } });
}

export function json(status: number, body: object, extras: Extras = {}): Response {
  return answer(status, JSON.stringify(body), { ...extras, headers: { ...extras.headers, "Content-Type": "application/json" } });
}

/** The registry's own form of an error. */
export function refusal(status: number, code: string, message: string, extras: Extras = {}): Response {
  return json(status, { errors: [{ code, message }] }, extras);
}

function answer(status: number, body: string | null, { setCookies = [], headers = {} }: Extras): Response {
  const all = new Headers({
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    ...headers,
  });
  for (const cookie of setCookies) all.append("Set-Cookie", cookie);
  return new Response(body, { status, headers: all });
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
