/**
 * The threats to a registry that is a gate: what each is, which tests show that it comes to nothing, and, for each of those, the edits
 * that take its defence away. With them the test must fail; `node bench/prove.ts threats` shows that it does.
 */

export interface Threat {
  readonly number: number;
  readonly what: string;
  /** Empty for one that does not concern us: `because` says why. */
  readonly shown: readonly Showing[];
  readonly because?: string;
}

/** A test, and how to make it fail. */
export interface Showing {
  /** Below `test`. */
  readonly file: string;
  /** What the file calls the test, or the beginning of that. */
  readonly test: string;
  /** Of tests from a table: what stands for `%s`. Otherwise all of them are run. */
  readonly row?: string;
  /** What the edits take away. */
  readonly without: string;
  readonly edits: readonly Edit[];
}

export interface Edit {
  /** Below `src`. */
  readonly file: string;
  /** Stands in the file once. */
  readonly text: string;
  readonly replacement: string;
}

const wire = "threats/over-the-wire.test.ts";
const verifier = "auth/token-verifier.test.ts";
const redirects = "auth/callback-address.test.ts";
const loginsUnderWay = "auth/logins-under-way.test.ts";
const passwordSignIn = "e2e/password-sign-in.test.ts";

export const threats: readonly Threat[] = [
  {
    number: 1,
    what: "two Authorization headers, of which one part of a server sees one and another part the other",
    shown: [
      {
        file: wire,
        test: "threat 1: two Authorization headers are 401 in either order",
        without: "a look at every header as it came",
        edits: [{ file: "server/exchange-visit.ts", text: "authorizationIn(incoming.rawHeaders)", replacement: "[first]" }],
      },
    ],
  },
  {
    number: 2,
    what: "a wrong credential taken for none",
    shown: [
      {
        file: wire,
        test: "threat 2: what is shown and is wrong is 401",
        without: "a wrong credential being final",
        edits: [
          {
            file: "auth/gate.ts",
            text: 'case "refused":\n        return {',
            replacement: 'case "refused":\n        return this.#decide(nobody, wanted, visit) ?? {',
          },
        ],
      },
    ],
  },
  {
    number: 3,
    what: "another spelling of a name that policies do not know",
    shown: [
      {
        file: "e2e/spellings.test.ts",
        test: "%s gives one decision",
        without: "aliases that mean their registry",
        edits: [
          {
            file: "oci/registry-names.ts",
            text: "return this.#aliases.get(host ?? word.toLowerCase()) ?? host;",
            replacement: "return host;",
          },
        ],
      },
      {
        file: "e2e/spellings.test.ts",
        test: "what looks like a spelling and is none is nobody's",
        without: "the refusal of two registries in one request",
        edits: [
          {
            file: "server/naming.ts",
            text: "if (inPath && said !== undefined && inPath !== said) {",
            replacement: "if (inPath && said !== undefined && false) {",
          },
        ],
      },
      {
        file: "auth/access-policy.test.ts",
        test: "%s and %s/%s: %s",
        without: "patterns of the default upstream meaning no other's",
        edits: [{ file: "auth/policy-names.ts", text: "(namesHost(alternative.text) && alternative.matches(full))", replacement: "alternative.matches(full)" }],
      },
    ],
  },
  {
    number: 4,
    what: "a private blob by its digest, under a repository that may be read",
    shown: [
      {
        file: wire,
        test: "threat 4: a private blob that is held is not shown",
        without: "a right of this very repository to the bytes",
        edits: [
          {
            file: "cache/blob-pulls.ts",
            text: "const grant = await this.#rights.find(repository, digest, call);",
            replacement: "const grant = { sizeBytes: (await store.blobs.findBytes(digest))?.byteLength ?? 0 };",
          },
        ],
      },
      {
        file: "cache/provenance.test.ts",
        test: "are not opened to another's clients by a forged manifest",
        without: "a record of which registry delivered the bytes",
        edits: [
          {
            file: "cache/blob-pulls.ts",
            text: "if (!(await store.provenance.covers(repository.host, digest))) return undefined;",
            replacement: "",
          },
        ],
      },
      {
        file: "cache/provenance.test.ts",
        test: "joins an arriving blob only when it may show it",
        without: "the same right while the bytes arrive",
        edits: [
          {
            file: "cache/blob-pulls.ts",
            text: "if (running && running.repository.path !== repository.path && !grant) await this.#rights.ask(repository, digest, call);",
            replacement: "",
          },
        ],
      },
    ],
  },
  { number: 5, what: "a mount from a private repository", shown: [], because: "nothing is pushed here: every write is 401 or 405" },
  {
    number: 6,
    what: "403 here and 404 there: what is there, told to those who may not read it",
    shown: [
      {
        file: wire,
        test: "threat 6: whoever may not read a name cannot tell whether it is there",
        without: "the gate in front of every look",
        edits: [
          {
            file: "server/guard.ts",
            text: "return refuse(admission);",
            replacement: "return Promise.resolve(serve(exchange, undefined as never)).then(() => refuse(admission));",
          },
        ],
      },
    ],
  },
  {
    number: 7,
    what: "a token replayed, or made to live for years",
    shown: [
      {
        file: verifier,
        test: "%s is refused",
        row: "no exp",
        without: "an end that every token must have",
        edits: [{ file: "auth/token-verifier.ts", text: 'requiredClaims: ["exp"],', replacement: "" }],
      },
      {
        file: verifier,
        test: "%s is refused",
        row: "ten years, without iat",
        without: "24 hours as the most",
        edits: [{ file: "auth/token-verifier.ts", text: "export const tokenLifeMsMax = 86_400_000;", replacement: "export const tokenLifeMsMax = Infinity;" }],
      },
      {
        file: verifier,
        test: "%s is refused",
        row: "exp 61 seconds past",
        without: "a minute as the most that clocks may differ",
        edits: [{ file: "auth/token-verifier.ts", text: "export const leewayMs = 60_000;", replacement: "export const leewayMs = 600_000;" }],
      },
      {
        file: verifier,
        test: "a remembered token ends with its time all the same",
        without: "a look at the end of what is remembered",
        edits: [{ file: "auth/token-verifier.ts", text: " && isCurrent(known, clock.now())", replacement: "" }],
      },
    ],
  },
  {
    number: 8,
    what: "a token signed with the public key as a shared secret",
    shown: [
      {
        file: verifier,
        test: "%s is refused",
        row: "HS256 with the public key's PEM as the secret",
        without: "asymmetric algorithms alone, and keys that are never text",
        edits: [
          { file: "auth/token-key.ts", text: 'export const tokenAlgorithms = ["RS256",', replacement: 'export const tokenAlgorithms = ["HS256", "RS256",' },
          { file: "auth/token-key.ts", text: "keys.filter(({ algorithms }) => algorithms.has(algorithm));", replacement: "keys;" },
          {
            file: "auth/token-verifier.ts",
            text: "return found.key;",
            replacement: 'return header.alg === "HS256" ? Buffer.from(found.key.export({ type: "spki", format: "pem" }).toString()) : found.key;',
          },
        ],
      },
      {
        file: verifier,
        test: "every algorithm of the list is taken from the key it fits, and from no other",
        without: "the algorithms that a key is for",
        edits: [{ file: "auth/token-key.ts", text: "keys.filter(({ algorithms }) => algorithms.has(algorithm));", replacement: "keys;" }],
      },
    ],
  },
  {
    number: 9,
    what: "a token's header that chooses, brings or fetches the key",
    shown: [
      {
        file: verifier,
        test: "%s is refused",
        row: "a jwk of its own",
        without: "trust that comes from the configuration alone",
        edits: [
          {
            file: "auth/token-verifier.ts",
            text: "const search = await keys.find(",
            replacement:
              'if (embedded) return { kind: "found", key: createPublicKey({ format: "jwk", key: embedded }), generation: 0 };\n    const search = await keys.find(',
          },
        ],
      },
      {
        file: verifier,
        test: "%s is refused",
        row: "a kid of 257 characters",
        without: "the longest that a key id may be",
        edits: [{ file: "auth/token-verifier.ts", text: "const keyIdLengthMax = 256;", replacement: "const keyIdLengthMax = 100_000;" }],
      },
      {
        file: verifier,
        test: "two keys of one name: neither is meant",
        without: "the refusal of a name that two keys have",
        edits: [{ file: "auth/token-key.ts", text: "return named.length === 1 ? named[0]?.key : undefined;", replacement: "return named[0]?.key;" }],
      },
      {
        file: verifier,
        test: "is refused when nothing but its signature shows",
        without: "the signatures of a chain",
        edits: [{ file: "auth/certificate-chain.ts", text: " && certificate.verify(issuer.publicKey)", replacement: "" }],
      },
      {
        file: verifier,
        test: "whose header names an address is refused, and nobody is asked there",
        without: "addresses in a header that mean nothing",
        edits: [
          {
            file: "auth/token-verifier.ts",
            text: "const embedded = objectOf(header.jwk);",
            replacement: 'if (header.jku?.startsWith("http")) await fetch(header.jku);\n    const embedded = objectOf(header.jwk);',
          },
        ],
      },
    ],
  },
  {
    number: 10,
    what: "a flood of made-up key ids, each of which fetches the key set",
    shown: [
      {
        file: "auth/remote-keys.test.ts",
        test: "a thousand made-up key ids cost two fetches",
        without: "half a minute between two fetches",
        edits: [{ file: "auth/remote-keys.ts", text: "export const unknownIdCooldownMs = 30_000;", replacement: "export const unknownIdCooldownMs = 0;" }],
      },
      {
        file: "auth/remote-keys.test.ts",
        test: "while the provider is away, known keys stay good for a day",
        without: "keys that outlive a provider's outage",
        edits: [{ file: "auth/remote-keys.ts", text: "this.#held.atMs < keySetStaleMs", replacement: "this.#held.atMs < 60_000" }],
      },
    ],
  },
  {
    number: 11,
    what: "a token that the same issuer gave for somebody else",
    shown: [
      {
        file: verifier,
        test: "%s is refused",
        row: "another audience",
        without: "the audience",
        edits: [{ file: "auth/token-verifier.ts", text: "audience: [...audiences],", replacement: "" }],
      },
      {
        file: verifier,
        test: "%s is refused",
        row: "another issuer",
        without: "the issuer",
        edits: [{ file: "auth/token-verifier.ts", text: "...(issuer === undefined ? {} : { issuer }),", replacement: "" }],
      },
      {
        file: "auth/provider-tokens.test.ts",
        test: "is no ID token of a login with a browser",
        without: "a look at the nonce by which those are known",
        edits: [{ file: "auth/openid/provider-tokens.ts", text: "if (isOfBrowserLogin(claims)) return", replacement: "if (isOfBrowserLogin({})) return" }],
      },
      {
        file: "auth/person.test.ts",
        test: "is nobody's who is called so at the provider",
        without: "the word of the file of passwords on whose name it is",
        edits: [
          {
            file: "auth/openid/person.ts",
            text: "rules.isOfFile(name, emailVerified === true)",
            replacement: "rules.isOfFile(`${name} `, emailVerified === true)",
          },
        ],
      },
    ],
  },
  {
    number: 12,
    what: "a token service that grants everything",
    shown: [
      {
        file: "e2e/tokens-and-certificates.test.ts",
        test: "a token opens no more than policies do",
        without: "policies beside the token",
        edits: [
          {
            file: "auth/gate.ts",
            text: "if (!own.isAllowed) return this.#deny({ principal, access }, wanted, visit, own);",
            replacement: "if (!own.isAllowed && !access) return this.#deny({ principal, access }, wanted, visit, own);",
          },
        ],
      },
      {
        file: "e2e/tokens-and-certificates.test.ts",
        test: "a token opens what it names, and nothing else",
        without: "the token beside policies",
        edits: [{ file: "auth/gate.ts", text: "if (access && !tokenAllows(access, repository, action, names()))", replacement: "if (false)" }],
      },
    ],
  },
  {
    number: 13,
    what: "an open redirect after a login",
    shown: [
      {
        file: redirects,
        test: "%s",
        row: "by a tab that browsers drop",
        without: "a look at what browsers leave out",
        edits: [{ file: "auth/callback-address.ts", text: "!/^[\\x21-\\x7e]+$/.test(written)", replacement: "false" }],
      },
      {
        file: redirects,
        test: "%s",
        row: "by a backslash",
        without: "a look at what browsers turn round",
        edits: [{ file: "auth/callback-address.ts", text: "/\\\\|%5c/i.test(written)", replacement: "false" }],
      },
      {
        file: redirects,
        test: "%s",
        row: "to a host that nobody allowed",
        without: "the origins that the operator named",
        edits: [
          {
            file: "auth/callback-address.ts",
            text: "return origins.some((origin) => URL.parse(origin)?.origin === address.origin) ? address.href : fallback;",
            replacement: "return origins.length >= 0 ? address.href : fallback;",
          },
        ],
      },
      {
        file: passwordSignIn,
        test: "is sent on where it may be sent",
        without: "that look, where a form says where to go",
        edits: [
          { file: "auth/password-sign-in.ts", text: 'own.callbackAddress(form.get("callback_ui"), visit)', replacement: '(form.get("callback_ui") ?? "")' },
        ],
      },
    ],
  },
  {
    number: 14,
    what: "login CSRF, a state used twice, one provider's answer shown to another",
    shown: [
      {
        file: loginsUnderWay,
        test: "does not come back %s",
        row: "a second time",
        without: "a state that is over with its first use",
        edits: [{ file: "auth/logins-under-way.ts", text: "this.#options.records.take(", replacement: "this.#options.records.read(" }],
      },
      {
        file: loginsUnderWay,
        test: "does not come back %s",
        row: "from another provider",
        without: "the provider that the state was given to",
        edits: [{ file: "auth/logins-under-way.ts", text: "if (held.provider !== provider)", replacement: "if (held.provider === undefined)" }],
      },
      {
        file: loginsUnderWay,
        test: "does not come back %s",
        row: "in another browser",
        without: "the browser that began it",
        edits: [{ file: "auth/logins-under-way.ts", text: '"hex") !== held.browser)', replacement: '"hex") === undefined)' }],
      },
      {
        file: passwordSignIn,
        test: "is signed neither in nor out by %s form",
        row: "another site's",
        without: "a look at whose form it is",
        edits: [{ file: "auth/password-sign-in.ts", text: 'if (own.pageBehind(visit) === "foreign")', replacement: "if (own === undefined)" }],
      },
    ],
  },
  {
    number: 15,
    what: "session fixation",
    shown: [
      {
        file: passwordSignIn,
        test: "has another session after each login",
        without: "the end of the session that the browser came with",
        edits: [{ file: "auth/browser-sessions.ts", text: "if (before !== undefined) await sessions.end(before);", replacement: "" }],
      },
    ],
  },
  {
    number: 16,
    what: "session CSRF",
    shown: [
      {
        file: passwordSignIn,
        test: "is somebody by the cookie only beside the header that no foreign page can send",
        without: "the header",
        edits: [
          { file: "auth/session-authenticator.ts", text: "if (isFromUi(visit)) return true;", replacement: "if (visit.cookie !== undefined) return true;" },
        ],
      },
      {
        file: passwordSignIn,
        test: "is not signed out by a cookie alone, without header or origin",
        without: "a look at whose page signs out",
        edits: [{ file: "auth/sign-in.ts", text: 'if (!isFromUi(visit) && own.pageBehind(visit) !== "ours")', replacement: "if (own === undefined)" }],
      },
      {
        file: "auth/device-logins.test.ts",
        test: "%s decides nothing, whoever it asks as",
        row: "another site's page, by its origin",
        without: "a look at whose page lets a terminal in",
        edits: [{ file: "auth/device-approvals.ts", text: 'if (own.pageBehind(visit) !== "ours")', replacement: "if (own === undefined)" }],
      },
      {
        file: "e2e/account-pages.test.ts",
        test: "takes no form of a page of another site, nor of nobody, nor anything that is no form of it",
        without: "a look at whose page has sent a form",
        edits: [{ file: "auth/account-desk.ts", text: 'if (own.pageBehind(visit) === "foreign")', replacement: "if (own === undefined)" }],
      },
    ],
  },
  {
    number: 17,
    what: "cookies without their flags",
    shown: [
      {
        file: "auth/cookies.test.ts",
        test: "over TLS a cookie is bound to this very host and to TLS",
        without: "Secure",
        edits: [{ file: "auth/cookies.ts", text: '${isSecure ? "; Secure" : ""}', replacement: "" }],
      },
      {
        file: "auth/cookies.test.ts",
        test: "without TLS it is hidden from scripts and from other sites' forms all the same",
        without: "HttpOnly",
        edits: [{ file: "auth/cookies.ts", text: "; HttpOnly; SameSite=Lax", replacement: "; SameSite=Lax" }],
      },
      {
        file: passwordSignIn,
        test: "is for TLS alone where %s",
        row: "externalUrl says so",
        without: "a look at how browsers come",
        edits: [
          {
            file: "auth/own-origin.ts",
            text: 'return this.#options.secureSession || this.urlFor(visit).startsWith("https:");',
            replacement: "return visit === undefined;",
          },
        ],
      },
    ],
  },
  {
    number: 18,
    what: "X-Forwarded-* from anybody",
    shown: [
      {
        file: wire,
        test: "threat 18: X-Forwarded-For from anybody changes neither",
        without: "trust in listed proxies alone",
        edits: [{ file: "server/client-address.ts", text: "return this.#any && this.#addresses.check(", replacement: "return true || this.#addresses.check(" }],
      },
      {
        file: passwordSignIn,
        test: "a forwarded scheme, host or address counts from a proxy that is trusted, and from nobody else",
        without: "trust in listed proxies alone, where a session's cookie is made",
        edits: [
          {
            file: "server/exchange-visit.ts",
            text: "const isBehindProxy = this.#proxies.trusts(this.#peer);",
            replacement: "const isBehindProxy = this.#peer !== undefined;",
          },
        ],
      },
    ],
  },
  {
    number: 19,
    what: "a registry's name that is an address within",
    shown: [
      {
        file: "upstream/dialling.test.ts",
        test: "is never dialled at loopback, however it is spelled",
        without: "a look at the address that is dialled",
        edits: [{ file: "upstream/address-policy.ts", text: 'if (addressClass === "public") return true;', replacement: "return true;" }],
      },
      {
        file: "upstream/dialling.test.ts",
        test: "is dialled wherever its name leads, but not at a metadata address",
        without: "the same look after a name was looked up",
        edits: [{ file: "upstream/connecting.ts", text: "all.filter(({ address }) => policy.allows(target, address));", replacement: "all;" }],
      },
    ],
  },
  {
    number: 20,
    what: "a credential that a realm or a redirect leads elsewhere",
    shown: [
      {
        file: "e2e/hostile-upstreams.test.ts",
        test: "no stranger hears a byte of the credential, wherever the registry leads",
        without: "the end of Authorization at another origin",
        edits: [
          {
            file: "upstream/redirects.ts",
            text: "next.origin === current.url.origin ? current.headers : withoutAuthorization(current.headers)",
            replacement: "current.headers",
          },
        ],
      },
      {
        file: "e2e/hostile-upstreams.test.ts",
        test: "no stranger hears a byte of the credential, wherever the registry leads",
        without: "realms that are the registry's own, or listed",
        edits: [{ file: "upstream/realms.ts", text: "if (withCredential && !mayHaveCredential(url, registry, realmHosts)) {", replacement: "if (false) {" }],
      },
    ],
  },
  {
    number: 21,
    what: "passwords guessed by the thousand, delays that take up every socket, a directory that hangs",
    shown: [
      {
        file: "auth/passwords.test.ts",
        test: "after 30 wrong passwords nobody looks at the next",
        without: "a budget of wrong passwords",
        edits: [{ file: "auth/login-budgets.ts", text: "return limit > 0 && failed + underWay >= limit;", replacement: "return false;" }],
      },
      {
        file: "auth/fail-delay.test.ts",
        test: "failDelay used to exhaust sockets: 256 wait",
        without: "the most that wait",
        edits: [{ file: "auth/fail-delay.ts", text: "const waitingMax = 256;", replacement: "const waitingMax = Infinity;" }],
      },
      {
        file: "auth/ldap.test.ts",
        test: "a directory that hangs is given up after three seconds",
        without: "the memory that it hangs",
        edits: [{ file: "auth/ldap.ts", text: "this.#breaker.failed(reason);", replacement: "this.#breaker.answered();" }],
      },
      {
        file: "auth/device-logins.test.ts",
        test: "guessing codes ends for who guesses",
        without: "a count of wrong codes of terminals",
        edits: [{ file: "auth/device-approvals.ts", text: "if (spent) {", replacement: "if (spent === null) {" }],
      },
      {
        file: "auth/device-logins.test.ts",
        test: "a page of another site that makes a browser ask uses up nobody's guesses",
        without: "a look at whose page brings a code",
        edits: [
          { file: "auth/device-approvals.ts", text: 'if (this.#options.own.pageBehind(visit) === "foreign")', replacement: "if (this.#options === undefined)" },
        ],
      },
    ],
  },
  {
    number: 22,
    what: "names found out by the time or the words of a refusal",
    shown: [
      {
        file: wire,
        test: "threat 22: a stranger's refusal and a known user's are the same",
        without: "one answer for all that is wrong",
        edits: [
          {
            file: "auth/htpasswd.ts",
            text: 'if (outcome === "wrong" || !known) return',
            replacement: 'if (!known) return { kind: "unavailable", reason: "no such user" };\n    if (outcome === "wrong") return',
          },
        ],
      },
      {
        file: "auth/htpasswd.test.ts",
        test: "user enumeration: an unknown name takes as long as a known one",
        without: "a hash in a stranger's place",
        edits: [{ file: "auth/htpasswd.ts", text: "const hash = known ?? this.#decoyFor(user);", replacement: "const hash = known;" }],
      },
      {
        file: "auth/ldap.test.ts",
        test: "user enumeration: an unknown name costs the directory as many questions as a known one",
        without: "a bind in a stranger's place",
        edits: [
          {
            file: "auth/ldap.ts",
            text: 'await this.#binds(`cn=${randomBytes(8).toString("hex")},${baseDn}`, randomBytes(12).toString("hex"), untilMs);',
            replacement: "",
          },
        ],
      },
    ],
  },
  {
    number: 23,
    what: "the 73rd byte of a password, and hashes that take minutes",
    shown: [
      {
        file: "auth/htpasswd.test.ts",
        test: "72 bytes: a longer password is refused",
        without: "the length that bcrypt looks at",
        edits: [{ file: "auth/htpasswd.ts", text: "const bcryptBytesMax = 72;", replacement: "const bcryptBytesMax = 1_000;" }],
      },
      {
        file: "auth/htpasswd-file.test.ts",
        test: "cost bomb: a hash that would keep a core busy for minutes",
        without: "the most that a hash may cost",
        edits: [{ file: "auth/htpasswd-file.ts", text: "const bcryptCostMax = 14;", replacement: "const bcryptCostMax = 31;" }],
      },
    ],
  },
  {
    number: 24,
    what: "names that are LDAP filters, and empty passwords, which bind as nobody",
    shown: [
      {
        file: "auth/ldap.test.ts",
        test: "LDAP injection: names that are filters",
        without: "a name that travels as a value",
        edits: [
          {
            file: "auth/ldap.ts",
            text: "new this.#library.EqualityFilter({ attribute, value });",
            replacement: "this.#library.FilterParser.parseString(`(${attribute}=${value})`);",
          },
        ],
      },
      {
        file: "auth/ldap.test.ts",
        test: "empty password: it is refused before the directory hears of it",
        without: "the refusal of an empty password",
        edits: [{ file: "auth/ldap.ts", text: 'login.password === "" || ', replacement: "" }],
      },
    ],
  },
  {
    number: 25,
    what: "two requests in what others take for one",
    shown: [
      {
        file: wire,
        test: "threat 25: a request with %s is 400",
        without: "Node's strict parser",
        edits: [{ file: "server/listening.ts", text: "requireHostHeader: false,", replacement: "requireHostHeader: false,\n    insecureHTTPParser: true," }],
      },
      {
        file: "server/listening.test.ts",
        test: "cuts a body behind which comes %s",
        without: "the end of a connection whose next request is none",
        edits: [
          {
            file: "server/listening.ts",
            text: "latestAnswers.isUnderWay(socket) ? socket.destroy() : refuseConnection(error, socket)",
            replacement: "refuseConnection(error, socket)",
          },
        ],
      },
    ],
  },
  {
    number: 26,
    what: "a path out of the store in a name, a tag or a digest",
    shown: [
      {
        file: wire,
        test: "threat 26: %s is 400, and asks nobody",
        without: "the grammar of digests",
        edits: [
          { file: "oci/digest.ts", text: "if (encoded.length !== hexLengths[algorithm] || !hexPattern.test(encoded)) return undefined;", replacement: "" },
        ],
      },
      {
        file: wire,
        test: "threat 26: %s is 400, and asks nobody",
        without: "the grammar of tags",
        edits: [{ file: "oci/tag.ts", text: "return tagPattern.test(raw) ? (raw as Tag) : undefined;", replacement: "return raw as Tag;" }],
      },
    ],
  },
  {
    number: 27,
    what: "wrong bytes under a right digest",
    shown: [
      {
        file: "e2e/broken-downloads.test.ts",
        test: "wrong bytes: asked for once more, then no client takes a body for complete",
        without: "the hash of what came",
        edits: [{ file: "cache/reception.ts", text: "if (digester.digest() !== digest) return false;", replacement: "" }],
      },
      {
        file: "upstream/manifests.test.ts",
        test: "with other bytes than the digest asked for is unusable",
        without: "the hash of a manifest",
        edits: [
          {
            file: "upstream/manifest-questions.ts",
            text: 'if (reference.kind === "digest" && manifest.descriptor.digest !== reference.digest) {',
            replacement: "if (false) {",
          },
        ],
      },
    ],
  },
  {
    number: 28,
    what: "somebody between us and a registry, or a redirect out of TLS",
    shown: [
      {
        file: "upstream/tls.test.ts",
        test: "refuses %s, and says so",
        without: "the check of certificates",
        edits: [{ file: "upstream/connecting.ts", text: "rejectUnauthorized: !options.insecureSkipVerify,", replacement: "rejectUnauthorized: false," }],
      },
      {
        file: "upstream/tls.test.ts",
        test: "is not left by a redirect",
        without: "the refusal of a redirect from https to http",
        edits: [{ file: "upstream/redirects.ts", text: 'if (from.protocol === "https:" && next.protocol === "http:") throw', replacement: "if (false) throw" }],
      },
    ],
  },
  {
    number: 29,
    what: "a manifest without end",
    shown: [
      {
        file: "upstream/manifests.test.ts",
        test: "above the limit is refused by its Content-Length alone",
        without: "the most that a manifest may be",
        edits: [{ file: "oci/manifest.ts", text: "export const manifestBytesMax = 4_393_216;", replacement: "export const manifestBytesMax = 4_393_216_000;" }],
      },
    ],
  },
  {
    number: 30,
    what: "an answer that grows when it is unpacked",
    shown: [
      {
        file: "upstream/blobs.test.ts",
        test: "compressed on the way is unusable",
        without: "the refusal of encodings that we did not ask for",
        edits: [{ file: "upstream/endpoint.ts", text: 'if (encoding !== undefined && encoding !== "" && encoding !== "identity")', replacement: "if (false)" }],
      },
    ],
  },
  {
    number: 31,
    what: "archives that write elsewhere than they should",
    shown: [],
    because: "no archive is read: bytes are stored as they come, and never unpacked",
  },
  {
    number: 32,
    what: "half requests, and connections by the thousand",
    shown: [
      {
        file: "server/listening.test.ts",
        test: "cuts half a request after its time",
        without: "the time that a request's head may take",
        edits: [
          { file: "server/listening.ts", text: "headersTimeout: headersTimeoutMs,", replacement: "headersTimeout: 0," },
          { file: "server/listening.ts", text: "requestTimeout: Math.max(requestTimeoutMs, headersTimeoutMs),", replacement: "requestTimeout: 0," },
        ],
      },
      {
        file: "server/listening.test.ts",
        test: "refuses connections beyond its cap",
        without: "the most connections at once",
        edits: [{ file: "server/listening.ts", text: "server.maxConnections = connectionsMax;", replacement: "" }],
      },
    ],
  },
  {
    number: 33,
    what: "secrets in the log, and lines of the log that somebody else wrote",
    shown: [
      {
        file: wire,
        test: "threat 33: a wrong password, a token and a line break are nowhere in the log",
        without: "reasons that quote nothing",
        edits: [
          {
            file: "server/guard.ts",
            text: 'reason: admission.kind === "refused" ? admission.reason : undefined,',
            replacement: "reason: visit.authorization[0],",
          },
        ],
      },
      {
        file: passwordSignIn,
        test: "leaves neither its password nor its session in the log",
        without: "a name of the session that opens none",
        edits: [
          {
            file: "auth/browser-sessions.ts",
            text: 'session: session.id.slice(0, shownIdLength) }, "signed in");',
            replacement: 'session: value }, "signed in");',
          },
        ],
      },
      {
        file: "operations/text-line.test.ts",
        test: "what a stranger wrote cannot steer the terminal",
        without: "control characters that are shown as none",
        edits: [{ file: "operations/text-line.ts", text: 'return stripVTControlCharacters(text).replaceAll(/\\p{Cc}/gu, "?");', replacement: "return text;" }],
      },
    ],
  },
  {
    number: 34,
    what: "an upstream's secrets in what clients are told",
    shown: [
      {
        file: wire,
        test: "threat 34: what an upstream's failure says",
        without: "the host alone in messages",
        edits: [
          { file: "upstream/errors.ts", text: "const said = `${url.host} answered ${status}`;", replacement: "const said = `${url.href} answered ${status}`;" },
        ],
      },
      {
        file: "upstream/plain-words.test.ts",
        test: "a secret is not told, as it is or as a URL has it",
        without: "a look for the secret in what a provider says",
        edits: [{ file: "upstream/plain-words.ts", text: 'if (secret === "") continue;', replacement: "continue;" }],
      },
    ],
  },
  {
    number: 35,
    what: "a credential that has ended, and is used for hours",
    shown: [
      {
        file: "auth/device-logins.test.ts",
        test: "a terminal that somebody let in %s meanwhile gets no key",
        row: "whose password is another",
        without: "a look at what vouched for who approved, when the key is fetched",
        edits: [{ file: "auth/device-consents.ts", text: "return stamp === undefined ||", replacement: "return stamp !== owner ||" }],
      },
      {
        file: "upstream/token-manager.test.ts",
        test: "serves to its end while renewing fails, with longer and longer pauses",
        without: "five minutes as the longest pause",
        edits: [
          {
            file: "upstream/credential-life.ts",
            text: "Math.min(backoffMsMax, backoffMsMin * 2 ** failuresBefore)",
            replacement: "backoffMsMin * 2 ** failuresBefore",
          },
        ],
      },
      {
        file: "upstream/token-manager.test.ts",
        test: "serves to its end while renewing fails, with longer and longer pauses",
        without: "the end of what is used",
        edits: [
          {
            file: "upstream/credential-life.ts",
            text: "usableUntilMs: nowMs + lifeMs - Math.min(marginMs, lifeMs === Infinity ? 0 : lifeMs / 10),",
            replacement: "usableUntilMs: Infinity,",
          },
        ],
      },
    ],
  },
  {
    number: 36,
    what: "one account's credential at another's registry",
    shown: [
      {
        file: "e2e/ecr.test.ts",
        test: "two accounts, regions and profiles at once",
        without: "a credential for each set of options",
        edits: [
          {
            file: "upstream/token-managers.ts",
            text: "const shared = this.#managers.get(key) ??",
            replacement: 'const shared = this.#managers.get("one for all") ??',
          },
          { file: "upstream/token-managers.ts", text: "this.#managers.set(key, shared);", replacement: 'this.#managers.set("one for all", shared);' },
        ],
      },
    ],
  },
  {
    number: 37,
    what: "what one has made the cache hold, shown to another",
    shown: [
      {
        file: wire,
        test: "threat 37: what a reader has made the cache hold is shown to nobody else",
        without: "answers that are for one client alone",
        edits: [{ file: "server/exchange.ts", text: '["Cache-Control", "private", "Vary", "Authorization"]', replacement: "[]" }],
      },
      {
        file: wire,
        test: "threat 37: what a reader has made the cache hold is shown to nobody else",
        without: "decisions that are remembered by whom they are about",
        edits: [
          { file: "auth/gate.ts", text: "const reads = this.#reads.get(principal) ??", replacement: "const reads = this.#reads.get(this as never) ??" },
          { file: "auth/gate.ts", text: "this.#reads.set(principal, reads);", replacement: "this.#reads.set(this as never, reads);" },
        ],
      },
    ],
  },
  {
    number: 38,
    what: "a file that is read while somebody writes it",
    shown: [
      {
        file: "auth/htpasswd.test.ts",
        test: "reload race: a file that somebody is still writing changes nothing",
        without: "a file that is taken whole or not at all",
        edits: [
          {
            file: "auth/htpasswd.ts",
            text: 'the users stay as they were");\n      return;',
            replacement: 'the users stay as they were");\n      file = { hashes: new Map(), refused: [] };',
          },
        ],
      },
    ],
  },
  {
    number: 39,
    what: "a certificate's name by a header, from another authority, or in the middle of another name",
    shown: [
      {
        file: wire,
        test: "threat 39: headers that proxies use for certificates name nobody",
        without: "certificates of our own connections alone",
        edits: [
          {
            file: "auth/identification.ts",
            text: "if (!certificates || visit.certificate === undefined) return nobody;",
            replacement:
              'if ((visit as never as { header(name: string): string }).header("x-forwarded-client-cert")) return { principal: { name: "reader", groups: [], method: "mtls" }, access: undefined };\n  if (!certificates || visit.certificate === undefined) return nobody;',
          },
          {
            file: "server/exchange-visit.ts",
            text: "get method(): string {",
            replacement: "header(name: string) { return this.#exchange.header(name); }\n\n  get method(): string {",
          },
        ],
      },
      {
        file: "e2e/tokens-and-certificates.test.ts",
        test: "alone: a valid one is its common name, none is 401, another authority's is cut off",
        without: "the refusal of a chain that is not good",
        edits: [
          { file: "server/listening.ts", text: "if (socket.authorized || socket.getPeerCertificate().raw === undefined) return;", replacement: "return;" },
        ],
      },
      {
        file: "e2e/tokens-and-certificates.test.ts",
        test: "a valid one without a usable name is nobody's, not anybody's",
        without: "a pattern that must match the whole",
        edits: [{ file: "auth/mtls.ts", text: "new RegExp(`^(?:${options.uriSanPattern})$`)", replacement: "new RegExp(options.uriSanPattern)" }],
      },
    ],
  },
  {
    number: 40,
    what: "a name that is empty",
    shown: [
      {
        file: wire,
        test: "threat 40: %s, a password without a name, is 401",
        without: "the refusal of an empty name, and of what no method takes",
        edits: [
          {
            file: "auth/basic.ts",
            text: 'if (user.trim() === "") return unreadable("no user name");',
            replacement: 'if (user.trim() === "") return { kind: "none" };',
          },
          { file: "auth/identification.ts", text: "return showsSomething(visit.authorization) ? {", replacement: "return false ? {" },
        ],
      },
    ],
  },
];
