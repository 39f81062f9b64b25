/** The way out of `auth`, as tests have it that are not about that way: plain fetch, which follows no redirect. */
import type { OutboundFetch } from "../../src/auth/json-fetch.ts";

export const outboundFetch: OutboundFetch = ({ url, method = "GET", headers, body, signal }) =>
  fetch(url, { method, headers, signal, redirect: "manual", ...(body === undefined ? {} : { body }) });
