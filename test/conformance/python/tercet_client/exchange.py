"""One exchange, from Open to the end of the stream: begin reading here."""

from tercet.v1 import error_pb2, item_pb2, sync_pb2
from tercet.v1.sync_pb2 import ExchangeRequest, ExchangeResponse

from .change_info import says
from .errors import ClientError, out_of_order, reason_name, unverified
from .messages import take_message
from .recover import recover
from .replica import Replica
from .send_content import due_units, send_eagerly, send_pending
from .session import RecoveryReason, Report, Session, SyncOptions
from .settle import take_changes

# Proofs that are asked for before the exchange gives up on one: others change the collection faster than it is read.
MOST_PASSES = 8


def sync(replica: Replica, options: SyncOptions) -> Report:
    """Makes a replica equal with its collection.

    The application may change the replica, under its lock, while the exchange waits for the server. An exchange that
    fails has lost nothing: the replica keeps what it has taken, and the next one goes on from there. One that begins
    while another one runs waits for its end.

    Raises ClientError for what this side found, and grpc.RpcError for what the server said.
    """
    with replica.exchange, replica.lock:
        session = Session(replica, options)
        try:
            _exchange(session)
            session.stream.finish()
        finally:
            session.stream.close()
    # A conflict whose change lost its races has not ended.
    for id in session.report.contended:
        session.report.conflicts.pop(id, None)
    return session.report


def _exchange(session: Session) -> None:
    replica, stream, report = session.replica, session.stream, session.report
    is_lost = not replica.checkpoint.token and replica.total.count > 0
    stream.send(ExchangeRequest(open=_to_open(session, is_lost)))
    if not is_lost:
        send_eagerly(session)
        stream.send(ExchangeRequest(done=sync_pb2.Done()))
    why = _take_opened(session, is_lost, stream.receive())
    if why:
        recover(session, why)
    _judge_held(session)
    is_asked = why is None
    passes = 0
    while passes < MOST_PASSES:
        if is_asked or send_pending(session):
            passes += 1
        if not is_asked:
            stream.send(ExchangeRequest(done=sync_pb2.Done()))
            report.round_trips += 1
        is_asked = False
        proof = _take_to_proof(session)
        # A content that was fetched may be later than the proof: then it takes another one.
        if due_units(session) or session.fetched_revision > replica.checkpoint.revision:
            continue
        report.verified = says(proof, replica.total)
        if report.verified:
            return
        if report.recovery or sync_pb2.CAPABILITY_RECONCILE not in session.opened.capabilities:
            raise unverified("the replica does not hold what the server holds")
        recover(session, "unverified")


def _take_to_proof(session: Session) -> item_pb2.RangeFingerprint:
    """Takes what the server says up to the proof that was asked for."""
    while True:
        response = session.stream.receive()
        take_message(session, response)
        if response.page.HasField("proof"):
            break
    if session.on_the_way:
        raise out_of_order("a proof came before the verdicts on what was sent before it")
    return response.page.proof


def _to_open(session: Session, recovers: bool) -> sync_pb2.Open:
    replica, options = session.replica, session.options
    return sync_pb2.Open(
        collection=replica.collection,
        collection_uid=replica.uid,
        token=replica.checkpoint.token,
        witness=replica.witness.token,
        standard=options.standard,
        capabilities=[sync_pb2.CAPABILITY_RECONCILE, sync_pb2.CAPABILITY_CHUNKS, sync_pb2.CAPABILITY_GROUPS],
        create=options.create,
        recreate=options.recreate,
        client="tercet reference client, Python",
        recover=recovers,
    )


def _take_opened(session: Session, is_lost: bool, response: ExchangeResponse) -> RecoveryReason | None:
    """Takes the server's first message. Answers why a recovery has to come first; None: it has not."""
    if not response.HasField("opened"):
        raise out_of_order(f'the first message was "{response.WhichOneof("message")}", not "opened"')
    replica, opened = session.replica, response.opened
    why = _why_recover(session, opened, is_lost)
    if not item_pb2.CHANGE_STANDARD_SERVER <= opened.standard <= item_pb2.CHANGE_STANDARD_MANUAL:
        raise ClientError("UNSUPPORTED", f"this client does not know the standard in force, {opened.standard}")
    session.opened = opened
    session.limits = replica.limits = opened.limits
    session.ceiling_ahead_us = opened.server_time_us - session.options.now_us() + opened.skew_us
    session.recovering = why is not None
    session.report.standard = opened.standard
    # In a recovery the lineage stays that of what the replica stands in, until it stands in the server's.
    if why is None:
        replica.uid = opened.collection_uid
        # The epochs that are told begin with the token's.
        first = opened.lineage[0].first_revision if opened.lineage else 0
        replica.lineage = [*(each for each in replica.lineage if each.first_revision < first), *opened.lineage]
    return why


def _why_recover(session: Session, opened: sync_pb2.Opened, is_lost: bool) -> RecoveryReason | None:
    replica, options = session.replica, session.options
    refused = opened.token_refused
    is_other = refused == error_pb2.ERROR_REASON_TOKEN_OTHER_HISTORY
    can_recover = sync_pb2.CAPABILITY_RECONCILE in opened.capabilities
    if refused and not can_recover or is_other and options.on_history_change == "stop":
        raise ClientError(reason_name(refused), "the server can't serve the replica's token; nothing was changed")
    if len(opened.collection_uid) != 16:
        raise out_of_order("the server did not say which collection this is")
    session.rebinds = bool(replica.uid) and replica.uid != opened.collection_uid
    if session.rebinds and not options.recreate:
        raise out_of_order("the server opened another collection than the replica's")
    if is_lost:
        return "asked"
    if session.rebinds:
        return "recreated"
    if not refused:
        return None
    return "history" if is_other else "compacted"


def _judge_held(session: Session) -> None:
    """Held items are judged anew where a standard was named for that: not where SERVER is in force for want of any."""
    standard = session.opened.standard
    is_unnamed = session.options.standard == item_pb2.CHANGE_STANDARD_UNSPECIFIED
    if standard == item_pb2.CHANGE_STANDARD_MANUAL or is_unnamed and standard == item_pb2.CHANGE_STANDARD_SERVER:
        return
    held = [entry for entry in session.replica.pending() if entry.pending.held]
    take_changes(session, [entry.base_state for entry in held], rejudges=True)
