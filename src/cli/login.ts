/** `ociregistry login` */
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { findDurationMs } from "../config/durations.ts";
import { delay, systemClock, type Clock } from "../oci/clock.ts";
import type { ShownLogin } from "./auth-file-text.ts";
import { dockerPlace, podmanPlace, type AuthPlace } from "./auth-files.ts";
import { exitCodes, type CommandIo } from "./command-io.ts";
import { errorLines } from "./error-lines.ts";
import { LiveLines } from "./live-lines.ts";
import { keepEverywhere, usablePlaces } from "./login-places.ts";
import { LoginServer, type AskedLogin, type LoginState } from "./login-server.ts";
import { misuse } from "./misuse.ts";
import { parseRegistryAddress } from "./registry-address.ts";
import { ServerAway } from "./server-away.ts";
import { untilStopped } from "./until-stopped.ts";

/** Which registry, by which way, and where what is shown to it is kept. */
export interface LoginPlaceOptions {
  readonly io: CommandIo;
  readonly server: string | undefined;
  /** A file of PEM. */
  readonly caFile?: string;
  readonly plainHttp?: boolean;
  /** In place of docker's file and podman's. */
  readonly authFile?: string;
  readonly docker?: boolean;
  readonly podman?: boolean;
  readonly clock?: Clock;
}

export interface LoginCommandOptions extends LoginPlaceOptions {
  /** Whose key alone is wanted. */
  readonly user?: string;
  readonly label?: string;
  /** A duration. */
  readonly expires?: string;
  readonly readOnly?: boolean;
}

/** What is added when the server is asked too often. RFC 8628 3.5. */
const slowerMs = 5_000;
/** The first question comes when the server likes; those after it no faster, even where it says so. */
const everyMsMin = 1_000;
/** While nobody answers one asks less and less often, but so often at least. */
const awayMsMax = 30_000;
const hostLengthMax = 64;

/** Waits until somebody approves it, and writes what clients look at. Throws misuses, the system's errors, and Errors in words. */
export async function login({ user, label, expires, readOnly = false, ...where }: LoginCommandOptions): Promise<number> {
  const { io, clock = systemClock } = where;
  const address = parseRegistryAddress(where.server, { plainHttp: where.plainHttp ?? false });
  const keyLifeMs = expires === undefined ? undefined : readLife(expires);
  const server = new LoginServer({ origin: address.origin, authority: await readAuthority(where.caFile), environment: io.environment });
  using stopping = untilStopped(io);
  const { signal } = stopping;
  const keeping = { host: address.host, io, store: { environment: io.environment, clock, signal } };
  const places = await usablePlaces(authPlaces(where), keeping);
  const asked = await server.begin({ label, host: ownName(), keyLifeMs, isReadOnly: readOnly }, signal);
  if (asked.elsewhere !== undefined) {
    io.writeError(`CAREFUL: ${address.origin} sends you to ${asked.elsewhere} for that. Approve only if you know that both are the same registry.\n\n`);
  }
  io.writeError(`To log in to ${address.host}, open\n\n    ${asked.completeUrl}\n\nand approve there, if it shows this code too:\n\n    ${asked.userCode}\n\n`);
  io.writeError(`(Or open ${asked.pageUrl} wherever you have a browser, and type the code.)\n`);
  const { login: given, keyLifeMs: leftMs } = await untilApproved(server, asked, { io, clock, signal });
  try {
    if (user !== undefined && given.user !== user) throw new Error(`it was approved by ${given.user}, and not by ${user}: nothing was written`);
    if (given.user.includes(":")) throw new Error(`the name ${JSON.stringify(given.user)} holds a colon: docker and podman cannot show it`);
    await keepEverywhere(places, given, keeping);
  } catch (error) {
    // A key that is not where clients look is of no use to anybody here.
    await endKey(server, given, io);
    throw error;
  }
  const until = leftMs === undefined ? "until its key is revoked" : `until ${new Date(clock.now() + leftMs).toISOString().slice(0, 10)}`;
  io.writeOut(`logged in to ${address.host} as ${given.user}, ${until}\n`);
  return exitCodes.done;
}

/** Where the flags say that it is kept. Throws a misuse. */
export function authPlaces({ io, authFile, docker = true, podman = true }: LoginPlaceOptions): readonly AuthPlace[] {
  const { environment } = io;
  if (authFile !== undefined) return [{ path: authFile, hasStore: true, isOptional: false }];
  if (!docker && !podman) throw misuse("--no-docker and --no-podman leave no file: name one by --auth-file");
  return [...(docker ? [dockerPlace(environment)] : []), ...(podman ? [{ ...podmanPlace(environment), ...(docker ? {} : { isOptional: false }) }] : [])];
}

/** The text of `--ca-file`. Throws the system's error. */
export async function readAuthority(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  const text = await readFile(path, "utf8");
  if (!text.includes("-----BEGIN CERTIFICATE-----")) throw misuse(`--ca-file: ${path} holds no certificate as PEM`);
  return text;
}

type Done = Extract<LoginState, { readonly kind: "done" }>;

/** Asks as often as the server likes, and goes on while it is away. Rejects with the signal's reason. */
async function untilApproved(
  server: LoginServer,
  { deviceCode, lifeMs, intervalMs }: AskedLogin,
  { io, clock, signal }: { readonly io: CommandIo; readonly clock: Clock; readonly signal: AbortSignal },
): Promise<Done> {
  const live = new LiveLines(io);
  const untilMs = clock.elapsed() + lifeMs;
  let [pauseMs, everyMs, trouble] = [intervalMs, Math.max(everyMsMin, intervalMs), ""];
  if (!io.isTerminal) io.writeError(`waiting for that, ${minutesText(lifeMs)} at most\n`);
  try {
    for (;;) {
      live.set(server, `waiting for that, ${minutesText(untilMs - clock.elapsed())} left${trouble}`);
      await delay(clock, Math.min(pauseMs, Math.max(0, untilMs - clock.elapsed())), signal);
      const isLast = clock.elapsed() >= untilMs;
      try {
        const state = await server.look(deviceCode, signal);
        if (state.kind === "done") return state;
        if (state.kind === "slower") everyMs += slowerMs;
        [pauseMs, trouble] = [everyMs, ""];
      } catch (error) {
        if (!(error instanceof ServerAway)) throw error;
        [pauseMs, trouble] = [Math.min(Math.max(pauseMs, everyMs) * 2, Math.max(awayMsMax, everyMs)), `; ${error.message}`];
      }
      if (isLast) throw new Error(`nobody has approved it in time: begin again${trouble}`);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new Error("stopped: nothing was written", { cause: error });
  } finally {
    live.end();
  }
}

async function endKey(server: LoginServer, login: ShownLogin, io: CommandIo): Promise<void> {
  try {
    await server.end(login, new AbortController().signal);
    io.writeError("the key that was given is ended again\n");
  } catch (error) {
    io.writeError(`the key that was given could not be ended: do that on the page of your keys (${errorLines(error).join(" ")})\n`);
  }
}

function readLife(written: string): number {
  const lifeMs = findDurationMs(written);
  if (lifeMs === undefined || lifeMs === 0 || lifeMs === Infinity) throw misuse(`--expires: "${written}" is not a time to live, as 90d or 12h is`);
  return lifeMs;
}

/** Of this machine, as far as it can be shown on a page. */
function ownName(): string {
  return hostname()
    .replaceAll(/[^A-Za-z0-9._-]/g, "-")
    .slice(0, hostLengthMax);
}

function minutesText(leftMs: number): string {
  return `${Math.max(0, Math.ceil(leftMs / 60_000))} min`;
}
