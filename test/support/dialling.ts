/** Dialling, by strace: whom a program has tried to reach, whether anybody answered or not. Needs strace. */

/** strace's arguments before the program, traced with all its threads and children, into `file`. `isParent`: the program keeps its pid. */
export function traceDialling(file: string, { isParent = false }: { isParent?: boolean } = {}): readonly string[] {
  return [...(isParent ? ["-D"] : []), "-f", "-qq", "-s", "256", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", file];
}

/** Every call of a trace that names an address, one line each, but for those that name one of the program's own sockets, below `ownPath`. */
export function dialledIn(trace: string, { ownPath }: { ownPath: string }): readonly string[] {
  return trace.split("\n").filter((line) => line.includes("sa_family=") && !line.includes(`sun_path="${ownPath}`));
}
