/** Answers a GET or HEAD of content as RFC 9110 14 has it, one Range at most; or as a quirk has it. */
import type { Quirk } from "./quirks.ts";
import type { RecordedRequest, Reply } from "./recording-server.ts";

/** 200, 206 or 416 with `content`. Several ranges, or a malformed one: 200. */
export function contentReply(request: RecordedRequest, content: Uint8Array, headers: Reply["headers"], quirk: Quirk): Reply {
  const sizeBytes = content.byteLength;
  const whole: Reply = { status: 200, headers: { ...headers, "accept-ranges": "bytes" }, body: content };
  if (request.range === undefined || quirk.ranges === "ignored") return whole;
  const match = /^bytes=(\d*)-(\d*)$/.exec(request.range);
  if (!match || (match[1] === "" && match[2] === "")) return whole;
  const asked =
    match[1] === ""
      ? { start: Math.max(0, sizeBytes - Number(match[2])), end: sizeBytes - 1 }
      : { start: Number(match[1]), end: match[2] === "" ? sizeBytes - 1 : Math.min(Number(match[2]), sizeBytes - 1) };
  if (asked.start > asked.end || quirk.ranges === "unsatisfiable") return { status: 416, headers: { "content-range": `bytes */${sizeBytes}` }, body: "" };
  const { start, end } = misplaced(asked, quirk);
  const contentRange = quirk.ranges === "no-content-range" ? undefined : `bytes ${start}-${end}/${sizeBytes}`;
  return {
    status: 206,
    headers: { ...headers, "content-range": contentRange },
    body: content.subarray(start, end + 1),
    offsetBytes: start,
    contentBytes: sizeBytes,
  };
}

function misplaced({ start, end }: { start: number; end: number }, quirk: Quirk): { start: number; end: number } {
  if (quirk.ranges === "wrong-start") return { start: Math.max(0, start - 1), end };
  if (quirk.ranges === "short") return { start, end: start + Math.floor((end - start) / 2) };
  return { start, end };
}
