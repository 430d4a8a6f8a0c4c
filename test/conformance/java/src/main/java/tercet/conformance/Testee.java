package tercet.conformance;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import com.google.protobuf.ByteString;
import io.grpc.StatusRuntimeException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Supplier;
import tercet.client.ClientException;
import tercet.client.ConflictRecord;
import tercet.client.Entry;
import tercet.client.Exchange;
import tercet.client.Failure;
import tercet.client.Replica;
import tercet.client.Report;
import tercet.client.Resolution;
import tercet.client.SyncOptions;
import tercet.client.SyncOptions.OnHistoryChange;
import tercet.client.Version;
import tercet.v1.ChangeStandard;

/** The loop that the conformance kit drives: one JSON object a line, and one line for each. */
public final class Testee {
  private static final Gson GSON = new GsonBuilder().serializeNulls().create();
  private static final String STANDARD_PREFIX = "CHANGE_STANDARD_";
  private static final Map<String, Object> NOTHING = Map.of();

  private final Map<String, Replica> replicas = new ConcurrentHashMap<>();
  private final PrintStream output = new PrintStream(System.out, false, StandardCharsets.UTF_8);

  /** 0: the real clock. */
  private volatile long clockUs;

  private Testee() {}

  public static void main(String[] args) throws IOException {
    var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    new Testee().run(input);
  }

  private void run(BufferedReader input) throws IOException {
    for (var line = input.readLine(); line != null; line = input.readLine()) {
      var request = GSON.fromJson(line, JsonObject.class);
      if (request.get("do").getAsString().equals("sync")) {
        // Writes go on while an exchange runs.
        new Thread(() -> answer(request)).start();
      } else {
        answer(request);
      }
    }
  }

  private void answer(JsonObject request) {
    var answer = new HashMap<String, Object>();
    answer.put("n", request.get("n"));
    try {
      answer.put("ok", carryOut(request));
    } catch (RuntimeException error) {
      if (!(error instanceof ClientException || error instanceof StatusRuntimeException)) {
        error.printStackTrace();
      }
      answer.put("error", toError(Failure.of(error)));
    }
    var line = GSON.toJson(answer);
    synchronized (output) {
      output.println(line);
      output.flush();
    }
  }

  private Map<String, Object> carryOut(JsonObject request) {
    return switch (request.get("do").getAsString()) {
      case "hello" ->
          Map.of(
              "name",
              "tercet reference client, Java",
              "features",
              List.of("groups", "chunks", "reconcile", "manual", "concurrent"));
      case "set_clock" -> {
        clockUs = request.get("us").getAsLong();
        yield NOTHING;
      }
      case "open" -> {
        var replica = new Replica(request.get("collection").getAsString());
        replicas.put(request.get("replica").getAsString(), replica);
        yield NOTHING;
      }
      case "close" -> {
        replicas.remove(request.get("replica").getAsString());
        yield NOTHING;
      }
      case "sync" -> sync(replicaOf(request), request);
      default -> locked(replicaOf(request), () -> carryOut(replicaOf(request), request));
    };
  }

  /** An exchange takes the lock by itself, and leaves it while it waits; all else is under it. */
  private static <T> T locked(Replica replica, Supplier<T> action) {
    replica.lock.lock();
    try {
      return action.get();
    } finally {
      replica.lock.unlock();
    }
  }

  private Map<String, Object> carryOut(Replica replica, JsonObject request) {
    return switch (request.get("do").getAsString()) {
      case "put", "delete" -> write(replica, request);
      case "transaction" -> transaction(replica, request);
      case "resolve" -> resolve(replica, request);
      case "copy" -> {
        replicas.put(request.get("to").getAsString(), replica.copy());
        yield NOTHING;
      }
      case "lose_checkpoint" -> {
        replica.loseCheckpoint();
        yield NOTHING;
      }
      case "get" -> {
        var entry = replica.entry(idOf(request));
        yield Collections.singletonMap("item", entry.mine() == null ? null : toItem(entry, true));
      }
      case "list" ->
          Map.of(
              "items",
              replica.entries().stream()
                  .filter(entry -> entry.mine() != null)
                  .map(entry -> toItem(entry, false))
                  .toList());
      case "pending" ->
          Map.of("pending", replica.pending().stream().map(Testee::toPending).toList());
      case "held" ->
          Map.of(
              "held",
              replica.entries().stream().filter(Entry::isHeld).map(Testee::toHeld).toList());
      case "conflicts" -> {
        var records = new ArrayList<>(replica.conflicts());
        Collections.reverse(records);
        yield Map.of("conflicts", records.stream().map(Testee::toConflict).toList());
      }
      case "status" -> toStatus(replica);
      default -> throw new ClientException("UNSUPPORTED", "unknown request");
    };
  }

  private Map<String, Object> write(Replica replica, JsonObject request) {
    var id = idOf(request);
    boolean deletes = request.get("do").getAsString().equals("delete");
    boolean isThere = replica.entry(id).mine() != null;
    replica.write(id, deletes ? null : versionOf(request), nowUs());
    return deletes ? Map.of("deleted", isThere) : NOTHING;
  }

  private Map<String, Object> transaction(Replica replica, JsonObject request) {
    var versions = new LinkedHashMap<String, Version>();
    for (var element : request.getAsJsonArray("changes")) {
      var change = element.getAsJsonObject();
      versions.put(idOf(change), versionOf(change));
    }
    replica.transaction(versions, nowUs());
    return NOTHING;
  }

  private Map<String, Object> resolve(Replica replica, JsonObject request) {
    Resolution how;
    if (!request.has("how")) {
      how = new Resolution.Own(versionOf(request));
    } else if (request.get("how").getAsString().equals("mine")) {
      how = new Resolution.Mine();
    } else {
      how = new Resolution.Theirs();
    }
    replica.resolve(idOf(request), how, nowUs());
    return NOTHING;
  }

  private Map<String, Object> sync(Replica replica, JsonObject request) {
    var standard = textOf(request, "standard", "UNSPECIFIED");
    var onHistoryChange = textOf(request, "on_history_change", "offer");
    var options =
        new SyncOptions(
            request.get("server").getAsString(),
            this::nowUs,
            ChangeStandard.valueOf(STANDARD_PREFIX + standard),
            request.has("create") && request.get("create").getAsBoolean(),
            request.has("recreate") && request.get("recreate").getAsBoolean(),
            OnHistoryChange.valueOf(onHistoryChange.toUpperCase(Locale.ROOT)),
            request.has("timeout_ms")
                ? Duration.ofMillis(request.get("timeout_ms").getAsLong())
                : null);
    var report = Exchange.sync(replica, options);
    return locked(replica, () -> toReport(report, replica));
  }

  private long nowUs() {
    return clockUs != 0 ? clockUs : ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now());
  }

  private Replica replicaOf(JsonObject request) {
    if (!request.has("replica")) {
      throw new ClientException("UNSUPPORTED", "unknown request");
    }
    return replicas.get(request.get("replica").getAsString());
  }

  private static String idOf(JsonObject request) {
    return request.get("id").getAsString();
  }

  private static String textOf(JsonObject request, String name, String otherwise) {
    return request.has(name) ? request.get(name).getAsString() : otherwise;
  }

  private static Version versionOf(JsonObject request) {
    if (request.has("deleted") && request.get("deleted").getAsBoolean()) {
      return null;
    }
    boolean isText = request.has("text");
    var data =
        isText
            ? ByteString.copyFromUtf8(request.get("text").getAsString())
            : ByteString.copyFrom(Base64.getDecoder().decode(request.get("data").getAsString()));
    return Version.of(idOf(request), data, isText);
  }

  /** Null for a deletion. */
  private static Map<String, Object> toContent(Version version) {
    if (version == null) {
      return null;
    }
    return version.isText()
        ? Map.of("text", version.data().toStringUtf8())
        : Map.of("data", Base64.getEncoder().encodeToString(version.data().toByteArray()));
  }

  private static String toHex(ByteString bytes) {
    return bytes == null ? null : HexFormat.of().formatHex(bytes.toByteArray());
  }

  private static String toKind(Version version) {
    return version == null ? "deleted" : "upserted";
  }

  private static String toName(ChangeStandard standard) {
    return standard.name().substring(STANDARD_PREFIX.length());
  }

  private static Map<String, Object> toItem(Entry entry, boolean withContent) {
    var item = new HashMap<String, Object>();
    boolean isBase = entry.fingerprint().equals(entry.baseFingerprint());
    item.put("id", entry.id());
    item.put("fingerprint", toHex(entry.fingerprint()));
    item.put("modify_time_us", entry.timeUs());
    item.put("pending", entry.pending() != null && !isBase);
    if (withContent) {
      item.putAll(toContent(entry.mine()));
    }
    return item;
  }

  private static Map<String, Object> toPending(Entry entry) {
    return Map.of(
        "id", entry.id(),
        "kind", toKind(entry.mine()),
        "held", entry.isHeld(),
        "group", entry.pending().group(),
        "rejected", Failure.reasonName(entry.pending().rejected()));
  }

  private static Map<String, Object> toHeld(Entry entry) {
    var held = new HashMap<String, Object>();
    held.put("id", entry.id());
    held.put("mine", toContent(entry.mine()));
    held.put("theirs", entry.base() == null ? null : toContent(entry.base().version()));
    return held;
  }

  private static Map<String, Object> toConflict(ConflictRecord conflict) {
    var told = new HashMap<String, Object>();
    var version = conflict.version();
    told.put("id", conflict.id());
    told.put("kind", toKind(version));
    told.put("fingerprint", version == null ? null : toHex(version.fingerprint()));
    told.put("prevailed", toHex(conflict.prevailed()));
    told.put("standard", toName(conflict.standard()));
    if (version != null) {
      told.putAll(toContent(version));
    }
    return told;
  }

  private static Map<String, Object> toSums(Replica replica) {
    var sums = new HashMap<String, Object>();
    sums.put("revision", replica.revision());
    sums.put("count", replica.total().count());
    sums.put("fingerprint", toHex(replica.total().toBytes()));
    return sums;
  }

  private static Map<String, Object> toStatus(Replica replica) {
    var status = toSums(replica);
    status.put("items", replica.entries().stream().filter(each -> each.mine() != null).count());
    status.put("pending", replica.pending().size());
    status.put("held", replica.pending().stream().filter(Entry::isHeld).count());
    status.put("conflicts", replica.conflicts().size());
    return status;
  }

  private static Map<String, Object> toReport(Report report, Replica replica) {
    var told = toSums(replica);
    told.put("standard", toName(report.standard));
    told.put("received", report.received);
    told.put("deleted", report.deleted);
    told.put("sent", report.sent);
    told.put("sent_deletions", report.sentDeletions);
    told.put("settled", report.settled);
    told.put("round_trips", report.roundTrips);
    told.put("verified", report.verified);
    told.put("contended", report.contended);
    var conflicts = new ArrayList<Object>();
    report.conflicts.forEach(
        (id, conflict) ->
            conflicts.add(
                Map.of(
                    "id", id,
                    "standard", toName(conflict.standard()),
                    "prevailed", conflict.prevailed())));
    told.put("conflicts", conflicts);
    var rejected = new ArrayList<Object>();
    report.rejected.forEach(
        (id, reason) -> rejected.add(Map.of("id", id, "reason", Failure.reasonName(reason))));
    told.put("rejected", rejected);
    var recovery = report.recovery;
    told.put("recovery", recovery == null ? null : toRecovery(recovery));
    return told;
  }

  private static Map<String, Object> toRecovery(Report.Recovered recovery) {
    var why = recovery.why().name().toLowerCase(Locale.ROOT);
    return Map.of("why", why, "offered", recovery.offered());
  }

  private static Map<String, Object> toError(Failure failure) {
    var error = new HashMap<String, Object>();
    error.put("code", failure.code());
    error.put("reason", failure.reason());
    error.put("message", failure.message());
    if (!failure.fields().isEmpty()) {
      error.put("fields", failure.fields());
    }
    if (failure.retryAfterMs() != null) {
      error.put("retry_after_ms", failure.retryAfterMs());
    }
    return error;
  }
}
