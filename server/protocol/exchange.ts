import { contentBytes, contentSize, fromContentField, toContentField } from "../../core/content.js";
import type { Exchange, Output } from "../../core/exchange.js";
import { ErrorReason, type Fault, fieldFault } from "../../core/fault.js";
import { toFingerprint } from "../../core/fingerprint.js";
import { checkCollectionName, checkId } from "../../core/id.js";
import { ITEM_OVERHEAD_BYTES, negotiateLimits } from "../../core/limits.js";
import { toChangeInfo, toPageChanges } from "../../core/page.js";
import { toRangeFingerprint } from "../../core/range-sum.js";
import { ChangeStandard, type Checkpoint, type ItemContent } from "../../gen/tercet/v1/item.js";
import type {
  ContentWanted,
  ExchangeRequest,
  ExchangeResponse,
  Limits,
  Open,
  PushBatch,
} from "../../gen/tercet/v1/sync.js";
import type {
  BatchWritten,
  ChangesRead,
  CollectionState,
  EpochState,
  ItemsRead,
  StoredChange,
} from "../store/store.js";
import type { ServerOperation, ServerResult } from "./operation.js";
import { createOwnRevisions } from "./own-revisions.js";
import { checkToken, encodeToken, tokenAt } from "./token.js";
import { type ValidatedPush, validatePushes } from "./validate-push.js";
import { cutVerdicts, mergeResults, type PushResult, toVerdicts } from "./verdict.js";

/** What the server's side of an exchange is given. */
export interface ServerExchangeConfig {
  /** What this server gives at most. */
  readonly limits: Limits;
  /** How far ahead of this server's clock a modify time may be, in microseconds. */
  readonly skewUs: number;
  /** How long the client may leave the server waiting in mid-exchange, in microseconds. */
  readonly stepTimeoutUs: number;
}

/** The server's side of one exchange. */
export type ServerExchange = Exchange<ExchangeRequest, ExchangeResponse, ServerOperation, ServerResult>;

type Message = NonNullable<ExchangeRequest["message"]>;

/** Messages that may lie unread besides pushes and fetches, which are bounded by the window. */
const MAX_QUEUED = 4096;
/** A client that has not heard of this server's limits yet is given this much, whatever they are. */
const WINDOW_GRACE_BYTES = 4 * 1024 * 1024;
const WINDOW_GRACE_ITEMS = 65_536;
const MAX_PAGE_CHANGES = 8192;
/** Most items of one message of contents: with ids as long as can be it stays far under 4 MiB. */
const MAX_READ_ITEMS = 2048;

/**
 * The server's side of one exchange: sends change info, receives content, sends content.
 *
 * It works on the client's messages in the order they came, one storage operation at a time, and between them reads the
 * change feed, a page whenever there is room to send one. So what it sends is in the order of its transactions: a verdict
 * comes before any page that was read after the push was made.
 */
export function createServerExchange(config: ServerExchangeConfig): ServerExchange {
  const outbox: ExchangeResponse[] = [];
  const inbox: Message[] = [];
  const own = createOwnRevisions();

  /** What to do with the result of the operation under way; undefined: none is. */
  let awaiting: ((result: ServerResult) => void) | undefined;
  /** The next operation, if one follows at once from what has been done. */
  let following: ServerOperation | undefined;
  let phase: "new" | "opening" | "open" | "refused" | "closed" = "new";
  let closing: { readonly fault?: Fault } | undefined;
  let halfClosed = false;

  let uid: Uint8Array = Buffer.alloc(0);
  let name = "";
  let lineage: readonly EpochState[] = [];
  let limits = config.limits;
  /** What pushes have seen that do not say: what the token spoke of; undefined without one. */
  let seenAtOpen: number | undefined;
  let pullHead = 0;
  /** The feed has been sent up to this revision, but for own pushes. */
  let cursor = 0;
  let endSent = false;
  /** Dones whose proofs are due. */
  let proofsDue = 0;

  let ordinal = 0;
  let queuedBytes = 0;
  let queuedItems = 0;
  let lastProgressUs = 0;
  let nowUs = 0;

  function close(fault?: Fault): void {
    if (closing !== undefined) return;
    closing = fault === undefined ? {} : { fault };
    inbox.length = 0;
    following = undefined;
  }

  function ask(operation: ServerOperation, then: (result: ServerResult) => void): void {
    following = operation;
    awaiting = then;
  }

  function send(message: NonNullable<ExchangeResponse["message"]>): void {
    outbox.push({ message });
  }

  function checkpointAt(revision: number): Checkpoint {
    return { token: encodeToken(tokenAt(uid, lineage, revision, pullHead)), revision };
  }

  // ---- opening

  function open(message: Open): void {
    const fault = checkOpen(message);
    if (fault !== undefined) return close(fault);
    phase = "opening";
    name = message.collection;
    ask({ kind: "open", open: message }, (result) => {
      if (result.kind !== "open") return;
      if ("reason" in result.found) return close(result.found);
      opened(message, result.found);
    });
  }

  function opened(message: Open, state: CollectionState): void {
    const check = checkToken(message.token, state);
    if (check.kind === "invalid") return close(check.fault);
    uid = state.uid;
    lineage = state.lineage;
    limits = negotiateLimits(config.limits, message.limits);
    if (check.kind === "served") {
      phase = "open";
      cursor = check.revision;
      pullHead = check.pullHead;
      seenAtOpen = message.token.length > 0 ? Math.max(check.revision, check.pullHead) : undefined;
    } else phase = "refused";
    const known = check.kind === "served" && message.token.length > 0 ? cursor : 0;
    send({
      $case: "opened",
      value: {
        collectionUid: Buffer.from(uid),
        standard: standardInForce(state.standard, message.standard),
        tokenRefused: check.kind === "served" ? ErrorReason.ERROR_REASON_UNSPECIFIED : check.fault.reason,
        head: state.revision,
        count: state.total.count,
        serverTimeUs: nowUs,
        limits,
        capabilities: [],
        lineage: lineageFrom(lineage, known).map((epoch) => ({
          id: Buffer.from(epoch.id),
          firstRevision: epoch.firstRevision,
        })),
      },
    });
  }

  // ---- receives content

  function push(batch: PushBatch): void {
    const first = ordinal;
    ordinal += batch.pushes.length;
    if (phase === "refused") {
      return verdicts(
        batch,
        batch.pushes.map(() => ({ kind: "compare-first" })),
        first,
      );
    }
    const rules = { itemBytes: limits.itemBytes, seen: batch.revisionSeen ?? seenAtOpen, nowUs, skewUs: config.skewUs };
    const validated = validatePushes(batch.pushes, batch.fingerprint, rules).map(compareFirst);
    const writes = validated.flatMap((each) => ("write" in each ? [each.write] : []));
    if (writes.length === 0) return verdicts(batch, mergeResults(validated, []), first);
    ask({ kind: "write", batch: { uid, writes, nowUs } }, (result) => {
      if (result.kind !== "write") return;
      if (result.written === undefined) return close(deletedFault(name));
      const checkpoint = written(result.written);
      completeConflicts(batch, mergeResults(validated, result.written.outcomes), first, checkpoint);
    });
  }

  /** Takes note of own revisions; a checkpoint if the feed has thereby been passed to the head. */
  function written(batch: BatchWritten): Checkpoint | undefined {
    lineage = batch.lineage;
    let made = false;
    for (const outcome of batch.outcomes) {
      if (outcome.kind !== "applied") continue;
      own.add(outcome.revision, outcome.revision);
      made = true;
    }
    const atHead = endSent && cursor === batch.revisionBefore;
    cursor = own.advance(cursor);
    return made && atHead && cursor === batch.revision ? checkpointAt(cursor) : undefined;
  }

  /** Reads the small contents of conflicts that the change feed will not bring any more, then gives the verdicts. */
  function completeConflicts(
    batch: PushBatch,
    results: PushResult[],
    first: number,
    checkpoint: Checkpoint | undefined,
  ): void {
    const ids = results.flatMap((result) =>
      result.kind === "conflict" && passed(result.current) ? [result.current.id] : [],
    );
    if (ids.length === 0) return verdicts(batch, results, first, checkpoint);
    ask({ kind: "read-items", query: { uid, ids, maxBytes: limits.messageBytes } }, (result) => {
      if (result.kind !== "read-items") return;
      if (result.read === undefined) return close(deletedFault(name));
      const latest = new Map(
        result.read.items.flatMap((item) => (item === undefined ? [] : [[item.id, item] as const])),
      );
      const complete = results.map((each): PushResult => {
        const current = each.kind === "conflict" ? latest.get(each.current.id) : undefined;
        return current === undefined ? each : { kind: "conflict", current };
      });
      verdicts(batch, complete, first, checkpoint);
    });
  }

  function passed(current: StoredChange): boolean {
    return current.fingerprint !== undefined && current.revision <= cursor && current.size <= limits.inlineBytes;
  }

  function verdicts(batch: PushBatch, results: readonly PushResult[], first: number, checkpoint?: Checkpoint): void {
    queuedBytes -= pushBatchBytes(batch);
    queuedItems -= batch.pushes.length;
    const messages = cutVerdicts(toVerdicts(results, first), limits.messageBytes);
    messages.forEach((each, index) => {
      const isLast = index === messages.length - 1;
      send({ $case: "verdicts", value: { verdicts: each, checkpoint: isLast ? checkpoint : undefined } });
    });
  }

  // ---- sends content

  function fetch(wanted: readonly ContentWanted[]): void {
    const ids = wanted.slice(0, MAX_READ_ITEMS).map((each) => each.id);
    ask({ kind: "read-items", query: { uid, ids, maxBytes: limits.messageBytes } }, (result) => {
      if (result.kind !== "read-items") return;
      if (result.read === undefined) return close(deletedFault(name));
      const done = result.read.items.length;
      queuedItems -= done;
      sendContents(wanted.slice(0, done), result.read);
      if (done < wanted.length) fetch(wanted.slice(done));
    });
  }

  function sendContents(wanted: readonly ContentWanted[], read: ItemsRead): void {
    const items: ItemContent[] = [];
    const deleted = wanted.flatMap((want, index) => {
      const item = read.items[index];
      if (item?.content !== undefined) {
        items.push(toItemContent(item, want));
        return [];
      }
      return [toChangeInfo(item ?? absent(want.id, read.revision))];
    });
    send({ $case: "contents", value: { items, deleted } });
  }

  // ---- sends change info

  function readPage(): void {
    cursor = own.advance(cursor);
    const query = {
      uid,
      after: cursor,
      tombstonesAfter: pullHead,
      maxBytes: limits.messageBytes,
      maxChanges: MAX_PAGE_CHANGES,
      inlineBytes: limits.inlineBytes,
    };
    ask({ kind: "read-changes", query }, (result) => {
      if (result.kind !== "read-changes") return;
      if (result.read === undefined) return close(deletedFault(name));
      sendPage(result.read);
    });
  }

  function sendPage(read: ChangesRead): void {
    lineage = read.lineage;
    const foreign = read.changes.filter((change) => !own.has(change.revision));
    cursor = own.advance(read.through);
    const end = cursor >= read.revision;
    if (foreign.length === 0 && !end) return;
    const proof = end && proofsDue > 0 ? toRangeFingerprint(read.total) : undefined;
    if (end) {
      endSent = true;
      proofsDue = Math.max(proofsDue - 1, 0);
    }
    const page = { ...toPageChanges(foreign), checkpoint: checkpointAt(cursor), end, proof };
    send({ $case: "page", value: page });
  }

  // ---- the machine

  function handle(message: Message): void {
    if (phase === "new") {
      if (message.$case === "open") return open(message.value);
      return close(outOfOrder(`the first message must be "open", not "${message.$case}"`));
    }
    switch (message.$case) {
      case "open":
        return close(outOfOrder('"open" came twice; open another stream for another exchange'));
      case "push":
        return push(message.value);
      case "fetch":
        return handleFetch(message.value.items);
      case "done":
        // A client that did not know yet that its token is refused gets no proof for it.
        if (phase === "open") proofsDue += 1;
        return;
      default:
        return close(unsupported(message.$case));
    }
  }

  function handleFetch(wanted: readonly ContentWanted[]): void {
    if (wanted.length === 0) return;
    const ids = new Set<string>();
    for (const [index, want] of wanted.entries()) {
      const fault = checkId(want.id, `fetch.items[${index}].id`) ?? checkOffset(want, `fetch.items[${index}].offset`);
      if (fault !== undefined) return close(fault);
      if (ids.size === ids.add(want.id).size) {
        const reason = ErrorReason.ERROR_REASON_DUPLICATE_ID;
        return close(fieldFault(reason, `fetch.items[${index}].id`, `"${want.id}" stands twice in this request`));
      }
    }
    fetch(wanted);
  }

  function account(message: Message): void {
    if (message.$case === "push") {
      queuedBytes += pushBatchBytes(message.value);
      queuedItems += message.value.pushes.length;
    } else if (message.$case === "fetch") queuedItems += message.value.items.length;
    const tooMuch =
      queuedBytes > 2 * limits.windowBytes + WINDOW_GRACE_BYTES ||
      queuedItems > 2 * limits.windowItems + WINDOW_GRACE_ITEMS ||
      inbox.length > MAX_QUEUED;
    if (tooMuch)
      close({ reason: ErrorReason.ERROR_REASON_WINDOW_EXCEEDED, message: "too much was sent without an answer" });
  }

  function nextOperation(): ServerOperation | undefined {
    while (following === undefined && closing === undefined && outbox.length === 0) {
      const message = inbox.shift();
      if (message !== undefined) handle(message);
      else if (phase === "open" && (!endSent || proofsDue > 0)) readPage();
      else if (halfClosed) close(phase === "new" ? outOfOrder('the stream ended before "open"') : undefined);
      else return undefined;
    }
    return following;
  }

  function next(): Output<ExchangeResponse, ServerOperation> | undefined {
    if (phase === "closed") return undefined;
    for (;;) {
      const message = outbox.shift();
      if (message !== undefined) {
        lastProgressUs = nowUs;
        return { kind: "send", message };
      }
      if (closing !== undefined) {
        phase = "closed";
        return { kind: "close", ...closing };
      }
      if (awaiting !== undefined && following === undefined) return undefined;
      const operation = nextOperation();
      if (operation !== undefined) {
        following = undefined;
        return { kind: "store", operation };
      }
      if (outbox.length === 0 && closing === undefined) return undefined;
    }
  }

  return {
    receive(message, time) {
      nowUs = Math.max(nowUs, time);
      if (closing !== undefined || message.message === undefined) return;
      lastProgressUs = nowUs;
      inbox.push(message.message);
      account(message.message);
    },
    ended() {
      halfClosed = true;
    },
    stored(result) {
      const then = awaiting;
      awaiting = undefined;
      if (closing === undefined) then?.(result);
    },
    failed(fault) {
      awaiting = undefined;
      close(fault);
    },
    tick(time) {
      nowUs = Math.max(nowUs, time);
      if (lastProgressUs === 0) lastProgressUs = nowUs;
      // An operation that is wanted and not asked for yet waits for room to send, that is for the client.
      const atWork = awaiting !== undefined && following === undefined;
      const idle = !atWork && nowUs - lastProgressUs > config.stepTimeoutUs;
      if (!idle || phase === "closed") return undefined;
      phase = "closed";
      const seconds = Math.round(config.stepTimeoutUs / 1e6);
      const message = `the client did not go on with the exchange for ${seconds} s`;
      return { reason: ErrorReason.ERROR_REASON_STALLED, message };
    },
    next,
  };
}

/** A push that does not say what it has seen, on a stream without a token, has nothing to be held against. */
function compareFirst(push: ValidatedPush): ValidatedPush | { readonly compareFirst: true } {
  return "write" in push && push.write.seen === undefined ? { compareFirst: true } : push;
}

function checkOpen(open: Open): Fault | undefined {
  const fault = checkCollectionName(open.collection, "open.collection");
  if (fault !== undefined) return fault;
  if (open.standard < 0 || open.standard > ChangeStandard.CHANGE_STANDARD_MANUAL) {
    const description = `unknown change standard ${open.standard}`;
    return fieldFault(ErrorReason.ERROR_REASON_UNKNOWN_STANDARD, "open.standard", description);
  }
  if (open.collectionUid.length !== 0 && open.collectionUid.length !== 16) {
    return fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, "open.collection_uid", "must be empty or 16 bytes");
  }
  if (open.client.length > 128) {
    return fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, "open.client", "must not be over 128 characters");
  }
  if (open.range !== undefined) return unsupported("open.range");
  if (open.dryRun) return unsupported("open.dry_run");
  if (open.live) return unsupported("open.live");
  return undefined;
}

/** The collection's standard, else the client's, else SERVER. */
export function standardInForce(bound: ChangeStandard, wished: ChangeStandard): ChangeStandard {
  if (bound !== ChangeStandard.CHANGE_STANDARD_UNSPECIFIED) return bound;
  return wished === ChangeStandard.CHANGE_STANDARD_UNSPECIFIED ? ChangeStandard.CHANGE_STANDARD_SERVER : wished;
}

/** The epochs from the one that `revision` lies in. */
function lineageFrom(lineage: readonly EpochState[], revision: number): readonly EpochState[] {
  const at = lineage.findLastIndex((epoch) => epoch.firstRevision <= revision);
  return lineage.slice(Math.max(at, 0));
}

/** Bytes that a push batch counts in the window; the client counts the same. */
function pushBatchBytes(batch: PushBatch): number {
  let bytes = 0;
  for (const push of batch.pushes) {
    const content = fromContentField(push.content);
    bytes += ITEM_OVERHEAD_BYTES + push.id.length + (content === undefined ? 0 : contentSize(content));
  }
  return bytes;
}

function toItemContent(item: StoredChange, want: ContentWanted): ItemContent {
  const content = item.content ?? "";
  const offset = want.revision === item.revision ? Math.min(want.offset, item.size) : 0;
  return {
    id: item.id,
    fingerprint: item.fingerprint === undefined ? undefined : toFingerprint(item.fingerprint),
    revision: item.revision,
    modifyTimeUs: item.modifyTimeUs,
    size: item.size,
    offset,
    content: toContentField(offset > 0 ? contentBytes(content).subarray(offset) : content),
  };
}

function checkOffset(want: ContentWanted, field: string): Fault | undefined {
  if (want.offset >= 0) return undefined;
  return fieldFault(ErrorReason.ERROR_REASON_INVALID_FIELD, field, "must not be negative");
}

/** The state of an item that the server knows nothing of: deleted, as of now. */
function absent(id: string, revision: number): StoredChange {
  return { id, revision, fingerprint: undefined, size: 0, modifyTimeUs: 0, group: 0, content: undefined };
}

function deletedFault(name: string): Fault {
  return {
    reason: ErrorReason.ERROR_REASON_COLLECTION_DELETED,
    message: `the collection "${name}" was deleted while it was read`,
  };
}

function outOfOrder(message: string): Fault {
  return { reason: ErrorReason.ERROR_REASON_OUT_OF_ORDER, message };
}

function unsupported(what: string): Fault {
  return { reason: ErrorReason.ERROR_REASON_UNSUPPORTED, message: `"${what}" is not supported by this server yet` };
}
