/**
 * The configuration's whole vocabulary: every key that may be written, what it takes, and its default in the words of those who write it.
 * Keys of features that are not built yet are here too (so that a file that leaves them at their defaults works); `not-yet.ts` lists them.
 */
import { z } from "zod";
import { auth } from "./auth-schema.ts";
import { accessControl, clientAuth, http } from "./client-auth-schema.ts";
import { pruneConfig } from "./prune-schema.ts";
import {
  alias,
  choice,
  cron,
  deniedAge,
  endingDuration,
  extraPort,
  flag,
  hostPort,
  lifetime,
  milliseconds,
  mirrorUrl,
  network,
  optionalChoice,
  platform,
  port,
  size,
  staleAge,
  text,
  timezone,
  wholeNumber,
  word,
} from "./scalars.ts";

const tagTtl = z.union([lifetime, z.record(z.string(), lifetime)], { error: "must be a duration, or durations by pattern" });
const whenGone = choice(["serve", "refuse"]);

const tls = z.strictObject({
  ca: text.optional().describe("PEM file of authorities that are trusted beside the system's."),
  cert: text.optional().describe("PEM file of the client certificate."),
  key: text.optional().describe("PEM file of its key."),
  insecureSkipVerify: flag.prefault(false).describe("Trust any certificate."),
});

const scopedAuth = z.strictObject({
  match: word.describe("Doublestar pattern over the path, without the host."),
  auth: auth.describe("The credential for what matches."),
});

const endpoint = z.strictObject({
  url: mirrorUrl.describe("The mirror; a path goes before every repository's name."),
  auth: auth.optional().describe("The credential for this mirror."),
  tls: tls.optional().describe("How TLS is spoken with this mirror."),
});

const registry = z.strictObject({
  name: word.describe("host[:port] as clients name it."),
  description: text.optional().describe("For people."),
  scheme: choice(["https", "http"]).prefault("https").describe("How the registry is spoken to."),
  endpoints: z
    .array(z.union([mirrorUrl, endpoint], { error: "must be a url, or keys with one" }))
    .prefault([])
    .describe("Mirrors, tried in this order before the registry itself."),
  originFallback: flag.prefault(true).describe("Try the registry itself after its mirrors."),
  aliases: z.array(alias).prefault([]).describe("Other names of this registry."),
  tagTtl: tagTtl.optional().describe("As the global tagTtl; patterns match the path without the host."),
  staleIfError: staleAge.optional().describe("As the global staleIfError."),
  whenDenied: deniedAge.optional().describe("As the global whenDenied."),
  whenGone: whenGone.optional().describe("As the global whenGone."),
  redirectHosts: z.array(hostPort).prefault([]).describe("Non-public host[:port] that its redirects may lead to."),
  public: flag.prefault(false).describe("Its anonymous content may be shared though its address is not public."),
  fillsMax: wholeNumber(1, 1_024).prefault(16).describe("Blobs that are fetched from it at once."),
  maxSize: size.optional().describe("How large what its images need may grow; as pruneConfig.maxSize."),
  auth: auth.optional().describe("The credential for this registry."),
  tls: tls.optional().describe("How TLS is spoken with this registry."),
  credentials: z.array(scopedAuth).prefault([]).describe("Other credentials for some of its repositories; the longest match wins."),
  opts: z.unknown().optional().describe("Accepted and ignored."),
});

const listConfig = z.strictObject({
  header: flag.prefault(false).describe("Begin with a line that names the columns."),
  expr: text.prefault("").describe("List only images in whose name one of these is found: Go's regular expressions, with commas between."),
  shortDigest: flag.prefault(false).describe("Print twelve characters of each digest."),
});

const serverTlsConfig = z.strictObject({
  cert: text.optional().describe("PEM file of the server's certificate."),
  key: text.optional().describe("PEM file of its key."),
  ca: text.optional().describe("PEM file of the authorities of client certificates."),
  clientAuth: choice(["none", "request", "verify"]).prefault("none").describe("Whether clients are asked for a certificate."),
});

const verifyConfig = z.strictObject({
  schedule: cron.optional().describe("When the store is verified, as a cron expression; nothing: when somebody asks."),
  bytesPerSecond: size.prefault("50MiB").describe("How much of it is read in a second at most; 0 for no bound."),
  repair: flag.prefault(false).describe("Fetch again what is wrong."),
  timezone: timezone.prefault("UTC").describe("The time zone of the schedule."),
});

export const configSchema = z
  .strictObject({
    imagePath: word.prefault("/var/lib/ociregistry").describe("The folder of the image store."),
    statePath: text.prefault("").describe("The folder of sessions, keys and sockets; empty: <imagePath>/state."),
    configFile: text.prefault("").describe("The configuration file. Of use as a flag and a variable only."),
    host: word.prefault("::").describe("The address to listen on."),
    port: port.prefault(8080).describe("The port to listen on; 0 for any free one."),
    health: extraPort.prefault(0).describe("An extra plain-HTTP port for probes; 0 for none."),
    metrics: extraPort.prefault(0).describe("An extra plain-HTTP port for metrics; 0 for none."),
    logLevel: choice(["error", "warn", "info", "debug"]).prefault("info").describe("From which level on events are logged."),
    logFile: text.prefault("").describe("The file of the log; empty: stderr."),
    logFormat: choice(["auto", "json", "text"]).prefault("auto").describe("How events are written; auto: text on a terminal, else json."),
    defaultNs: word.prefault("docker.io").describe("The registry of names without one."),
    unlistedRegistries: optionalChoice(["public", "deny"])
      .prefault("")
      .describe("Registries that are not listed: any at a public address, or none. Empty: deny as soon as a registry has credentials."),
    airGapped: flag.prefault(false).describe("Never connect to an upstream."),
    alwaysPullLatest: flag.prefault(false).describe("Revalidate the tag latest on every pull."),
    tagTtl: tagTtl.prefault("1m").describe("How long a tag is trusted before it is revalidated; 0 never, -1 for ever; or such durations by pattern."),
    staleIfError: staleAge.prefault(true).describe("Whether, or up to which age, what is held is served while its upstream is away."),
    whenDenied: deniedAge.prefault("24h").describe("Whether, or up to which age, what is held is served when its upstream refuses."),
    whenGone: whenGone.prefault("serve").describe("Whether what is held is served when its upstream no longer has it."),
    pullTimeout: milliseconds.prefault(60_000).describe("Milliseconds that a blob's body may stand still; -1 for any number."),
    helloWorld: flag.prefault(false).describe("Serve docker.io/library/hello-world:latest out of this program."),
    registries: z.array(registry).prefault([]).describe("What is known of upstream registries."),
    serverTlsConfig: serverTlsConfig.prefault({}).describe("TLS towards clients."),
    trustedProxies: z.array(network).prefault([]).describe("Networks whose X-Forwarded-* headers count."),
    proxyProtocol: flag.prefault(false).describe("Expect the PROXY protocol, version 1 or 2, on every connection."),
    shutdownDelay: endingDuration("the server would never stop").prefault("0s").describe("How long to go on listening after SIGTERM."),
    drainTimeout: lifetime.prefault("60s").describe("How long running answers may take after that; -1 for all the time they need."),
    os: word.prefault("linux").describe("The operating system to load images for."),
    arch: word.prefault("amd64").describe("The architecture to load images for."),
    platforms: z.array(platform).prefault([]).describe("Platforms to load images for, in place of os and arch: os/arch[/variant], or all."),
    preloadImages: text.prefault("").describe("Lists of images, or archives, to load when the server starts."),
    preloadRequired: flag.prefault(false).describe("Not to be ready before what is to be preloaded is here."),
    imageFile: text.prefault("").describe("Lists or archives for the command load."),
    resolveRef: text.prefault("").describe("The reference of an archive's only image, for the command load."),
    pruneConfig: pruneConfig.prefault({}).describe("What is removed from the store."),
    listConfig: listConfig.prefault({}).describe("How the command list prints."),
    verifyConfig: verifyConfig.prefault({}).describe("When the store is verified."),
    externalUrl: text.prefault("").describe("How clients reach this server."),
    adminApi: choice(["off", "loopback"]).prefault("off").describe("Who may use the administrative routes."),
    pages: flag.prefault(true).describe("Pages for browsers at /home."),
    auth: clientAuth.prefault({}).describe("Who is asking."),
    accessControl: accessControl.optional().describe("Who may pull what."),
    http: http.prefault({}).describe("zot's own place for some of this."),
  })
  .describe("The configuration of ociregistry.");

/** What the schema makes of a configuration: keys as written, values read. */
export type ParsedConfig = z.output<typeof configSchema>;
