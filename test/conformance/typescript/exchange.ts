import { ErrorReason } from "../../../gen/tercet/v1/error.js";
import { ChangeStandard, type RangeFingerprint } from "../../../gen/tercet/v1/item.js";
import { Capability, Open, type Opened } from "../../../gen/tercet/v1/sync.js";
import { isSum } from "./change-info.js";
import { isStandard } from "./compare.js";
import { same } from "./fingerprint.js";
import { takeMessage } from "./messages.js";
import { unverified } from "./receive-content.js";
import { recover } from "./recover.js";
import { ClientError, type Replica, stateOf } from "./replica.js";
import { dueUnits, sendEagerly, sendPending } from "./send-content.js";
import { newSession, type RecoveryReason, type Report, type Session, type SyncOptions } from "./session.js";
import { takeChanges } from "./settle.js";
import { openStream, outOfOrder } from "./stream.js";

/** Proofs that are asked for before the exchange gives up on one: others change the collection faster than it is read. */
const MOST_PASSES = 8;

/**
 * One exchange, from Open to the end of the stream. An exchange that fails has lost nothing: the replica keeps what it has taken,
 * and the next one goes on from there. One that begins while another one runs waits for its end.
 *
 * @throws ClientError for what this side found, a gRPC ServiceError for what the server said
 */
export function sync(replica: Replica, options: SyncOptions): Promise<Report> {
  const report = replica.exchange.then(() => syncAlone(replica, options));
  replica.exchange = report.catch(() => undefined);
  return report;
}

async function syncAlone(replica: Replica, options: SyncOptions): Promise<Report> {
  const stream = openStream(options.server, options.timeoutMs, (epoch) => {
    session.begun.push(epoch);
    if (!session.recovering) replica.lineage = [...replica.lineage, epoch];
  });
  const session = newSession(replica, stream, options);
  try {
    await exchange(session);
    await stream.finish();
  } catch (error) {
    stream.abandon();
    throw error;
  }
  // A conflict whose change lost its races has not ended.
  for (const id of session.report.contended) session.report.conflicts.delete(id);
  return session.report;
}

async function exchange(session: Session): Promise<void> {
  const { replica, stream, report } = session;
  const isLost = replica.checkpoint.token.length === 0 && replica.total.count > 0;
  stream.send({ $case: "open", value: toOpen(session, isLost) });
  if (!isLost) {
    sendEagerly(session);
    stream.send({ $case: "done", value: {} });
  }
  const why = await takeOpened(session, isLost);
  if (why !== undefined) await recover(session, why);
  await judgeHeld(session);
  let isAsked = why === undefined;
  for (let passes = 0; passes < MOST_PASSES; ) {
    if (isAsked || (await sendPending(session))) passes += 1;
    if (!isAsked) {
      stream.send({ $case: "done", value: {} });
      report.roundTrips += 1;
    }
    isAsked = false;
    const proof = await takeToProof(session);
    // A content that was fetched may be later than the proof: then it takes another one.
    if (dueUnits(session).length > 0 || session.fetchedRevision > replica.checkpoint.revision) continue;
    report.verified = isSum(replica.total, proof);
    if (report.verified) return;
    const canRecover = session.opened.capabilities.includes(Capability.CAPABILITY_RECONCILE);
    if (report.recovery !== undefined || !canRecover)
      throw unverified("the replica does not hold what the server holds");
    await recover(session, "unverified");
  }
}

/** Takes what the server says up to the proof that was asked for. */
async function takeToProof(session: Session): Promise<RangeFingerprint | undefined> {
  for (;;) {
    const page = await takeMessage(session, await session.stream.receive());
    if (page?.proof === undefined) continue;
    if (session.onTheWay.length > 0) throw outOfOrder("a proof came before the verdicts on what was sent before it");
    return page.proof;
  }
}

function toOpen({ replica, options }: Session, recovers: boolean): Open {
  const { CAPABILITY_RECONCILE, CAPABILITY_CHUNKS, CAPABILITY_GROUPS } = Capability;
  return Open.fromPartial({
    collection: replica.collection,
    collectionUid: Buffer.from(replica.uid),
    token: replica.checkpoint.token,
    witness: replica.witness.token,
    standard: options.standard,
    capabilities: [CAPABILITY_RECONCILE, CAPABILITY_CHUNKS, CAPABILITY_GROUPS],
    limits: options.wishes,
    create: options.create,
    recreate: options.recreate,
    client: "tercet reference client, TypeScript",
    recover: recovers,
  });
}

/** Takes the server's first message. Answers why a recovery has to come first; undefined: it has not. */
async function takeOpened(session: Session, isLost: boolean): Promise<RecoveryReason | undefined> {
  const message = await session.stream.receive();
  if (message.$case !== "opened") throw outOfOrder(`the first message was "${message.$case}", not "opened"`);
  const opened = message.value;
  const { replica, options, report } = session;
  const why = whyRecover(session, opened, isLost);
  if (!isStandard(opened.standard)) {
    throw new ClientError(
      "UNSUPPORTED",
      `the standard in force is ${opened.standard}, which this client does not know`,
    );
  }
  session.opened = opened;
  session.limits = opened.limits ?? session.limits;
  session.ceilingAheadUs = opened.serverTimeUs - options.nowUs() + opened.skewUs;
  session.recovering = why !== undefined;
  report.standard = opened.standard;
  replica.limits = session.limits;
  // In a recovery the lineage stays that of what the replica stands in, until it stands in the server's.
  if (why !== undefined) return why;
  replica.uid = opened.collectionUid;
  // The epochs that are told begin with the token's.
  const [first] = opened.lineage;
  const before = replica.lineage.filter(({ firstRevision }) => firstRevision < (first?.firstRevision ?? Infinity));
  replica.lineage = [...before, ...opened.lineage];
  return undefined;
}

function whyRecover(session: Session, opened: Opened, isLost: boolean): RecoveryReason | undefined {
  const { replica, options } = session;
  const { tokenRefused: refused, collectionUid: uid } = opened;
  const isRefused = refused !== ErrorReason.ERROR_REASON_UNSPECIFIED;
  const isOther = refused === ErrorReason.ERROR_REASON_TOKEN_OTHER_HISTORY;
  const canRecover = opened.capabilities.includes(Capability.CAPABILITY_RECONCILE);
  if ((isRefused && !canRecover) || (isOther && options.onHistoryChange === "stop")) {
    const reason = isOther ? "TOKEN_OTHER_HISTORY" : "TOKEN_COMPACTED";
    throw new ClientError(reason, "the server can't serve the replica's token; nothing was changed");
  }
  if (uid.length !== 16) throw outOfOrder("the server did not say which collection this is");
  session.rebinds = replica.uid.length > 0 && !same(uid, replica.uid);
  if (session.rebinds && !options.recreate) throw outOfOrder("the server opened another collection than the replica's");
  if (isLost) return "asked";
  if (session.rebinds) return "recreated";
  if (!isRefused) return undefined;
  return isOther ? "history" : "compacted";
}

/** Held items are judged anew where a standard was named for that: not where SERVER is in force for want of any. */
async function judgeHeld(session: Session): Promise<void> {
  const { options, replica } = session;
  const { standard } = session.opened;
  const isUnnamed = options.standard === ChangeStandard.CHANGE_STANDARD_UNSPECIFIED;
  const isDefault = isUnnamed && standard === ChangeStandard.CHANGE_STANDARD_SERVER;
  if (standard === ChangeStandard.CHANGE_STANDARD_MANUAL || isDefault) return;
  const held = [...replica.entries.values()].filter(({ pending }) => pending?.held);
  const theirs = held.map(({ id, base }) => base ?? stateOf(id));
  await takeChanges(session, theirs, { rejudges: true });
}
