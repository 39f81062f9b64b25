/** ProcessName: who a process is, so that another can tell whether it still lives, though its pid may be somebody else's by now. */
import { randomBytes } from "node:crypto";
import { readFile, readlink } from "node:fs/promises";
import { isErrno } from "../oci/errno.ts";

/** Who a process is, across reboots and containers. */
export interface ProcessName {
  readonly boot: string;
  readonly namespace: string;
  readonly pid: number;
  readonly startTime: string;
}

/** This process's name; where the system does not tell, parts of it are `x` and deaths are seen by silence. */
export async function nameOfThisProcess(): Promise<ProcessName> {
  const boot = await readText("/proc/sys/kernel/random/boot_id");
  const namespace = await readlink("/proc/self/ns/pid").catch(() => ""); // Not Linux: told by silence instead.
  const startTime = await startTimeOf(process.pid);
  return {
    boot: boot?.replaceAll("-", "").slice(0, 12) || randomBytes(6).toString("hex"),
    namespace: /\d+/.exec(namespace)?.[0] ?? "x",
    pid: process.pid,
    startTime: startTime ?? "x",
  };
}

/** How a process writes its name on its folder. */
export function formatProcessName({ boot, namespace, pid, startTime }: ProcessName): string {
  return `${boot}-${namespace}-${pid}-${startTime}`;
}

/** The process that a folder is named after, or undefined when it is named otherwise. */
export function findProcessName(folder: string): ProcessName | undefined {
  const [boot, namespace, pid, startTime] = folder.split("-");
  return boot && namespace && pid && /^[1-9][0-9]{0,9}$/.test(pid) && startTime ? { boot, namespace, pid: Number(pid), startTime } : undefined;
}

/** Clock ticks after boot at which the process began, or undefined when there is none of that pid. proc(5), field 22. */
export async function startTimeOf(pid: number): Promise<string | undefined> {
  const text = await readText(`/proc/${pid}/stat`);
  const fields = text?.slice(text.lastIndexOf(")") + 2).split(" ");
  return fields?.[0] === "Z" ? undefined : fields?.[19];
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH", "EACCES", "ENOTDIR")) return undefined;
    throw error;
  }
}
