package tercet.client;

import java.util.ArrayList;
import tercet.client.Report.Why;
import tercet.client.SyncOptions.OnHistoryChange;
import tercet.v1.Capability;
import tercet.v1.ChangeStandard;
import tercet.v1.Done;
import tercet.v1.ErrorReason;
import tercet.v1.ExchangeResponse;
import tercet.v1.Open;
import tercet.v1.Opened;
import tercet.v1.RangeFingerprint;

/** One exchange, from Open to the end of the stream: begin reading here. */
public final class Exchange {
  /** Proofs to ask for before one counts: others change the collection as fast as it is read. */
  private static final int MOST_PASSES = 8;

  private static final int UID_BYTES = 16;

  private final Session session;
  private final Replica replica;
  private final SyncOptions options;
  private final Report report;

  /** The replica has items but no checkpoint: it asks for a recovery. */
  private final boolean isLost;

  private Exchange(Session session) {
    this.session = session;
    replica = session.replica;
    options = session.options;
    report = session.report;
    isLost = replica.checkpoint.getToken().isEmpty() && replica.total().count() > 0;
  }

  /**
   * Makes a replica equal with its collection. Other threads may change the replica, under its
   * lock, while the exchange waits for the server. One that fails has lost nothing: the replica
   * keeps what it has taken, and the next exchange goes on from there. One that begins while
   * another one runs waits for its end.
   *
   * @throws ClientException for what this side found
   * @throws io.grpc.StatusRuntimeException for what the server said
   */
  public static Report sync(Replica replica, SyncOptions options) {
    replica.exchange.lock();
    replica.lock.lock();
    try {
      var session = new Session(replica, options);
      try (var stream = session.stream) {
        new Exchange(session).run();
        stream.finish();
      }
      // A conflict whose change lost its races has not ended.
      session.report.conflicts.keySet().removeAll(session.report.contended);
      return session.report;
    } finally {
      replica.lock.unlock();
      replica.exchange.unlock();
    }
  }

  private void run() {
    session.stream.send(message -> message.setOpen(toOpen()));
    if (!isLost) {
      SendContent.sendEagerly(session);
      askForProof();
    }
    var why = takeOpened(session.stream.receive());
    if (why != null) {
      Recovery.recover(session, why);
    }
    judgeHeld();
    boolean isAsked = why == null;
    int passes = 0;
    while (passes < MOST_PASSES) {
      if (isAsked || SendContent.sendPending(session)) {
        passes++;
      }
      if (!isAsked) {
        askForProof();
        report.roundTrips++;
      }
      isAsked = false;
      var proof = takeToProof();
      // A content that was fetched may be later than the proof: then it takes another one.
      if (!SendContent.dueUnits(session).isEmpty()
          || session.fetchedRevision > replica.revision()) {
        continue;
      }
      report.verified = ChangeInfos.says(proof, replica.total());
      if (report.verified) {
        return;
      }
      if (report.recovery != null || !session.serverCan(Capability.CAPABILITY_RECONCILE)) {
        throw ClientException.unverified("the replica does not hold what the server holds");
      }
      Recovery.recover(session, Why.UNVERIFIED);
    }
  }

  private void askForProof() {
    session.stream.send(message -> message.setDone(Done.getDefaultInstance()));
  }

  /** Takes what the server says up to the proof that was asked for. */
  private RangeFingerprint takeToProof() {
    while (true) {
      var message = session.stream.receive();
      Messages.take(session, message);
      if (message.getPage().hasProof()) {
        if (!session.onTheWay.isEmpty()) {
          throw ClientException.outOfOrder("a proof came before the verdicts on what was sent");
        }
        return message.getPage().getProof();
      }
    }
  }

  private Open toOpen() {
    return Open.newBuilder()
        .setCollection(replica.collection)
        .setCollectionUid(replica.uid)
        .setToken(replica.checkpoint.getToken())
        .setWitness(replica.witness.getToken())
        .setStandard(options.standard())
        .addCapabilities(Capability.CAPABILITY_RECONCILE)
        .addCapabilities(Capability.CAPABILITY_CHUNKS)
        .addCapabilities(Capability.CAPABILITY_GROUPS)
        .setCreate(options.create())
        .setRecreate(options.recreate())
        .setClient("tercet reference client, Java")
        .setRecover(isLost)
        .build();
  }

  /** Takes the first message. Answers why a recovery has to come first; null: it has not. */
  private Why takeOpened(ExchangeResponse message) {
    if (!message.hasOpened()) {
      throw ClientException.outOfOrder("the first message was not Opened");
    }
    var opened = message.getOpened();
    var why = whyRecover(opened);
    switch (opened.getStandard()) {
      case UNRECOGNIZED, CHANGE_STANDARD_UNSPECIFIED ->
          throw new ClientException("UNSUPPORTED", "the standard in force is not known here");
      default -> report.standard = opened.getStandard();
    }
    session.opened = opened;
    session.limits = opened.getLimits();
    replica.limits = opened.getLimits();
    session.ceilingAheadUs =
        opened.getServerTimeUs() - options.nowUs().getAsLong() + opened.getSkewUs();
    session.recovering = why != null;
    // In a recovery the lineage stays that of what the replica stands in, until it stands in the
    // server's.
    if (why == null) {
      replica.uid = opened.getCollectionUid();
      takeLineage(opened);
    }
    return why;
  }

  /** The epochs that are told begin with the token's. */
  private void takeLineage(Opened opened) {
    long first = opened.getLineageCount() == 0 ? 0 : opened.getLineage(0).getFirstRevision();
    var lineage = new ArrayList<>(replica.lineage);
    lineage.removeIf(epoch -> epoch.getFirstRevision() >= first);
    lineage.addAll(opened.getLineageList());
    replica.lineage = lineage;
  }

  private Why whyRecover(Opened opened) {
    int refused = opened.getTokenRefusedValue();
    boolean isOther = refused == ErrorReason.ERROR_REASON_TOKEN_OTHER_HISTORY_VALUE;
    boolean canRecover = opened.getCapabilitiesList().contains(Capability.CAPABILITY_RECONCILE);
    boolean stops = isOther && options.onHistoryChange() == OnHistoryChange.STOP;
    if (refused != 0 && !canRecover || stops) {
      throw new ClientException(
          Failure.reasonName(refused), "the server can't serve the token; nothing was changed");
    }
    if (opened.getCollectionUid().size() != UID_BYTES) {
      throw ClientException.outOfOrder("the server did not say which collection this is");
    }
    session.rebinds = !replica.uid.isEmpty() && !replica.uid.equals(opened.getCollectionUid());
    if (session.rebinds && !options.recreate()) {
      throw ClientException.outOfOrder("the server opened another collection than the replica's");
    }
    if (isLost) {
      return Why.ASKED;
    }
    if (session.rebinds) {
      return Why.RECREATED;
    }
    if (refused == 0) {
      return null;
    }
    return isOther ? Why.HISTORY : Why.COMPACTED;
  }

  /** Held items are judged anew where a standard was named: not where SERVER is the default. */
  private void judgeHeld() {
    var standard = report.standard;
    boolean isDefault =
        options.standard() == ChangeStandard.CHANGE_STANDARD_UNSPECIFIED
            && standard == ChangeStandard.CHANGE_STANDARD_SERVER;
    if (standard == ChangeStandard.CHANGE_STANDARD_MANUAL || isDefault) {
      return;
    }
    var held = replica.pending().stream().filter(Entry::isHeld).map(Entry::baseOrNothing).toList();
    Settle.takeChanges(session, held, new Settle.Rejudging(), null);
  }
}
