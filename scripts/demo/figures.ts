import type { StandardName, SyncReport } from "../../client/index.js";
import type { Expectation, Made, Movement } from "./cells.js";
import type { KeptRecord } from "./jobs.js";

/** One exchange in figures. */
export interface ExchangeFigures {
  readonly name: string;
  readonly replica: "A" | "B";
  readonly standard: string;
  readonly sent: number;
  readonly sentDeletions: number;
  readonly received: number;
  readonly deleted: number;
  readonly settled: number;
  readonly conflicts: number;
  readonly rejected: number;
  readonly roundTrips: number;
  /** Bytes of the messages with gRPC's framing, without HTTP/2's. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly durationMs: number;
  /** Contents and deletions that moved, a second. */
  readonly itemsPerSecond: number;
  /** Resident memory in bytes: the replica's process before the exchange, its peak, and the server's peak during it. */
  readonly clientMemoryBefore: number;
  readonly clientMemoryPeak: number;
  readonly serverMemoryPeak: number;
  readonly verified: boolean;
  readonly count: number;
  readonly fingerprint: string;
}

/** What happened in a cell of the comparison table under a standard. */
export interface CellFigures {
  readonly standard: StandardName;
  readonly client: Made;
  readonly server: Made;
  readonly equal: boolean;
  readonly items: number;
  readonly example: string;
  readonly expected: Expectation;
  readonly movement: Movement | "something else";
  /** Side that keeps conflict records of these items. */
  readonly record: "client" | "server" | "both" | undefined;
  /** What was not as expected, for the first item where it was not. */
  readonly problem: string | undefined;
}

/** A claim of the demo, and whether it held. */
export interface Check {
  readonly claim: string;
  readonly ok: boolean;
  readonly detail?: string;
}

/** A side at the end. */
export interface EndSide {
  readonly side: "server" | "A" | "B";
  readonly items: number;
  readonly fingerprint: string;
}

/** Everything that the demo measured and checked. */
export interface DemoFigures {
  readonly node: string;
  readonly platform: string;
  readonly cores: number;
  readonly collection: string;
  readonly items: number;
  readonly contentBytes: number;
  readonly loadMs: number;
  /** Bytes on the wire of the first pull: what a full copy costs. */
  readonly fullCopyBytes: number;
  readonly exchanges: readonly ExchangeFigures[];
  readonly cells: readonly CellFigures[];
  readonly conflicts: readonly (KeptRecord & { readonly side: "client" | "server" })[];
  readonly ends: readonly EndSide[];
  readonly checks: readonly Check[];
  readonly ok: boolean;
  readonly durationMs: number;
  /** An id to look at. */
  readonly example: string;
}

/** The figures of an exchange. */
export function toFigures(
  about: Pick<ExchangeFigures, "name" | "replica" | "clientMemoryBefore" | "clientMemoryPeak" | "serverMemoryPeak">,
  report: SyncReport,
): ExchangeFigures {
  const { sent, sentDeletions, received, deleted, durationMs } = report;
  return {
    ...about,
    standard: report.standard,
    sent,
    sentDeletions,
    received,
    deleted,
    settled: report.settled,
    conflicts: report.conflictCount,
    rejected: report.rejectedCount,
    roundTrips: report.roundTrips,
    bytesSent: report.bytesSent,
    bytesReceived: report.bytesReceived,
    durationMs,
    itemsPerSecond: Math.round(((sent + sentDeletions + received + deleted) * 1000) / durationMs),
    verified: report.verified,
    count: report.count,
    fingerprint: report.fingerprint,
  };
}
