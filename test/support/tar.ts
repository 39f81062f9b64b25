/** Writes tar archives that are the same for the same files: owner, times and order say nothing. */

const tarBlockBytes = 512;

/** A ustar archive of `files`, with the folders they need. POSIX.1-1988 "ustar Interchange Format". */
export function tarOf(files: Readonly<Record<string, string | Uint8Array>>): Buffer {
  const folders = new Set(
    Object.keys(files).flatMap((name) =>
      name
        .split("/")
        .slice(0, -1)
        .map((_, at, parts) => `${parts.slice(0, at + 1).join("/")}/`),
    ),
  );
  const headers = [...folders].toSorted().map((name) => tarHeader(name, 0));
  const entries = Object.entries(files).flatMap(([name, content]) => {
    const bytes = Buffer.from(content);
    return [tarHeader(name, bytes.byteLength), bytes, Buffer.alloc((tarBlockBytes - (bytes.byteLength % tarBlockBytes)) % tarBlockBytes)];
  });
  return Buffer.concat([...headers, ...entries, Buffer.alloc(2 * tarBlockBytes)]);
}

/** What an archive that nobody should trust may hold beside files. */
export interface TarEntry {
  readonly path: string;
  readonly content?: string | Uint8Array;
  /** Makes it a link to this path: "1" a hard one, "2" a symbolic one; or a device ("3"), a pipe ("6"). */
  readonly kind?: "0" | "1" | "2" | "3" | "6";
  readonly target?: string;
  /** What the header says, whatever follows. */
  readonly claimedBytes?: number;
}

/** A ustar archive of these entries in this order, lies included. */
export function tarOfEntries(entries: readonly TarEntry[]): Buffer {
  const pieces = entries.flatMap(({ path, content = "", kind = "0", target = "", claimedBytes }) => {
    const bytes = Buffer.from(content);
    return [
      tarHeader(path, claimedBytes ?? bytes.byteLength, { kind, target }),
      bytes,
      Buffer.alloc((tarBlockBytes - (bytes.byteLength % tarBlockBytes)) % tarBlockBytes),
    ];
  });
  return Buffer.concat([...pieces, Buffer.alloc(2 * tarBlockBytes)]);
}

function tarHeader(name: string, sizeBytes: number, { kind = "0", target = "" }: { kind?: string; target?: string } = {}): Buffer {
  const isFolder = name.endsWith("/");
  const header = Buffer.alloc(tarBlockBytes);
  header.write(name, 0, 100);
  header.write(isFolder ? "0000755\0" : "0000644\0", 100);
  header.write("0000000\0" + "0000000\0", 108);
  header.write(`${sizeBytes.toString(8).padStart(11, "0")}\0`, 124);
  header.write("00000000000\0", 136);
  header.write("        ", 148);
  header.write(isFolder ? "5" : kind, 156);
  header.write(target, 157, 100);
  header.write("ustar\0" + "00", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}
