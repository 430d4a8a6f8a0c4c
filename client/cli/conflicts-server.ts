import { randomUUID } from "node:crypto";
import type { ConflictRecord } from "../../gen/tercet/v1/collection.js";
import type { Conflict } from "../replica-views.js";
import { pagesFrom, type ServerArguments, withServer } from "./server.js";

const PAGE = 500;

/** The records that a server keeps of a collection, latest first, without contents. */
export async function* conflictsOfServer(argv: ServerArguments, collection: string): AsyncGenerator<Conflict> {
  const { METHODS } = await import("../index.js");
  const { standardName } = await import("../../core/standard.js");
  const pages = pagesFrom(argv, (connection, pageToken, bounds) =>
    connection.unary(METHODS.listConflicts, { collection, id: "", pageSize: PAGE, pageToken }, bounds),
  );
  for await (const { conflicts } of pages) {
    for (const record of conflicts) yield toConflict(record, standardName(record.standard));
  }
}

/** One of them, with its content. */
export async function conflictFromServer(argv: ServerArguments, collection: string, number: number): Promise<Conflict> {
  const { METHODS } = await import("../index.js");
  const { standardName } = await import("../../core/standard.js");
  const request = { collection, number };
  const { conflict } = await withServer(argv, (connection, bounds) =>
    connection.unary(METHODS.getConflict, request, bounds),
  );
  if (conflict === undefined) throw new Error(`the server did not say anything of record ${number}`);
  return toConflict(conflict, standardName(conflict.standard));
}

/** Makes the version of a record the item again, on the server; answers the item and its revision, 0 for no trace of it. */
export async function restoreOnServer(
  argv: ServerArguments,
  collection: string,
  number: number,
): Promise<{ readonly id: string; readonly revision: number }> {
  const { METHODS } = await import("../index.js");
  return await withServer(argv, async (connection, bounds) => {
    const { conflict } = await connection.unary(METHODS.getConflict, { collection, number }, bounds);
    const request = { collection, number, requestId: randomUUID() };
    const { change } = await connection.unary(METHODS.restoreConflict, request, bounds);
    return { id: conflict?.id ?? change?.id ?? "", revision: change?.revision ?? 0 };
  });
}

/** A record of the server's in the shape of a replica's. */
function toConflict(record: ConflictRecord, standard: string): Conflict {
  const { number, id, size, fingerprint, prevailed, recordTimeUs, modifyTimeUs, content } = record;
  return {
    number,
    id,
    kind: fingerprint === undefined ? "deleted" : "upserted",
    content: content?.value,
    size,
    fingerprint: fingerprint?.value.toString("hex"),
    prevailed: prevailed?.value.toString("hex"),
    standard,
    recordTime: new Date(recordTimeUs / 1000),
    modifyTime: new Date(modifyTimeUs / 1000),
  };
}
