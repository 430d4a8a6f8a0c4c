package tercet.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import tercet.v1.ChangePage;
import tercet.v1.ChangeStandard;
import tercet.v1.IdBounds;

/** Holds what needs no network against ../vectors. */
class VectorsTest {
  private static final JsonObject FINGERPRINTS = read("fingerprints.json");
  private static final JsonObject RANGES = read("range-fingerprints.json");
  private static final JsonObject IDS = read("ids.json");
  private static final JsonObject COMPARISON = read("comparison.json");
  private static final JsonObject STANDARDS = read("standards.json");
  private static final JsonObject PAGES = read("pages.json");

  @TestFactory
  Stream<DynamicTest> fingerprints() {
    return each(
        FINGERPRINTS,
        "cases",
        one -> {
          var version = Version.of(text(one, "id"), contentOf(one), false);
          assertEquals(text(one, "fingerprint"), hex(version.fingerprint()));
        });
  }

  @TestFactory
  Stream<DynamicTest> rangeFingerprints() {
    return each(
        RANGES,
        "cases",
        one -> {
          var total = RangeSum.NOTHING;
          for (var fingerprint : strings(one, "add")) {
            total = total.plus(RangeSum.of(unhex(fingerprint)));
          }
          int numbered = one.has("addNumbered") ? one.get("addNumbered").getAsInt() : 0;
          for (int number = 0; number < numbered; number++) {
            var content = ByteString.copyFromUtf8(Integer.toString(number));
            var version = Version.of("item-" + number, content, true);
            total = total.plus(RangeSum.of(version.fingerprint()));
          }
          for (var fingerprint : strings(one, "subtract")) {
            total = total.minus(RangeSum.of(unhex(fingerprint)));
          }
          assertEquals(one.get("count").getAsLong(), total.count());
          assertEquals(text(one, "sum"), hex(total.toBytes()));
        });
  }

  @Test
  void orderOfIds() {
    var ordered = strings(IDS, "ordered");
    assertEquals(ordered, ordered.stream().sorted(Ids.ORDER.reversed()).sorted(Ids.ORDER).toList());
  }

  @TestFactory
  Stream<DynamicTest> ids() {
    return each(IDS, "ids", one -> assertEquals(isValid(one), Ids.isId(text(one, "id"))));
  }

  @TestFactory
  Stream<DynamicTest> collectionNames() {
    return each(
        IDS,
        "collectionNames",
        one -> {
          if (isValid(one)) {
            new Replica(text(one, "name"));
          } else {
            assertThrows(ClientException.class, () -> new Replica(text(one, "name")));
          }
        });
  }

  @TestFactory
  Stream<DynamicTest> bounds() {
    return each(
        IDS,
        "bounds",
        one -> {
          var coded = message(one.get("coded"), IdBounds.newBuilder()).build();
          assertEquals(coded, Ids.encodeBounds(strings(one, "bounds")));
          assertEquals(strings(one, "bounds"), Ids.decodeBounds(coded));
        });
  }

  @TestFactory
  Stream<DynamicTest> badBounds() {
    return each(
        IDS,
        "badBounds",
        one -> {
          var coded = message(one.get("coded"), IdBounds.newBuilder()).build();
          assertThrows(IllegalArgumentException.class, () -> Ids.decodeBounds(coded));
        });
  }

  @TestFactory
  Stream<DynamicTest> comparison() {
    return each(
        COMPARISON,
        "cases",
        one -> {
          var client = one.getAsJsonObject("client");
          var theirs = stateOf(one.getAsJsonObject("server"));
          var found = Comparison.compare(entryOf(client), sendingsOf(client), theirs);
          assertEquals(text(one, "comparison"), lower(found));
        });
  }

  @TestFactory
  Stream<DynamicTest> comparisonInRecovery() {
    return each(
        COMPARISON,
        "recoveryCases",
        one -> {
          var client = one.getAsJsonObject("client");
          var theirs = stateOf(one.getAsJsonObject("server"));
          long fork = one.get("fork").getAsLong();
          var found =
              Comparison.compareRecovered(entryOf(client), sendingsOf(client), theirs, fork);
          assertEquals(text(one, "comparison"), lower(found));
        });
  }

  @TestFactory
  Stream<DynamicTest> standards() {
    Consumer<JsonObject> judge =
        one -> {
          var mine = one.getAsJsonObject("mine");
          var theirs = one.getAsJsonObject("theirs");
          var times =
              mine.has("groupTimesUs")
                  ? strings(mine, "groupTimesUs")
                  : List.of(text(mine, "modifyTimeUs"));
          long timeUs = times.stream().mapToLong(Long::parseLong).max().orElseThrow();
          var state =
              new State("x", printIn(theirs), 1, theirs.get("modifyTimeUs").getAsLong(), 0, null);
          var standard = ChangeStandard.valueOf(text(one, "standard"));
          var outcome = Comparison.judge(standard, printIn(mine), timeUs, state);
          assertEquals(text(one, "prevails"), lower(outcome));
        };
    return Stream.concat(each(STANDARDS, "judgements", judge), each(STANDARDS, "groups", judge));
  }

  @TestFactory
  Stream<DynamicTest> codedPages() {
    return each(
        PAGES,
        "coded",
        one -> {
          var page = message(one.get("page"), ChangePage.newBuilder());
          var whole = new JsonObject();
          whole.add("changes", one.get("changes"));
          var changes = message(whole, ChangePage.newBuilder()).getChangesList();
          var read = ChangeInfos.read(page.getChangesList(), page.getFingerprint());
          assertEquals(ChangeInfos.read(changes), read);
        });
  }

  @TestFactory
  Stream<DynamicTest> pages() {
    return each(
        PAGES,
        "read",
        one -> {
          var page = message(one.get("page"), ChangePage.newBuilder());
          var changes = page.getChangesList();
          if (!strings(one, "unknown").isEmpty()) {
            assertThrows(
                ClientException.class, () -> ChangeInfos.read(changes, page.getFingerprint()));
            return;
          }
          var states = ChangeInfos.read(changes, page.getFingerprint());
          var good = states.stream().filter(each -> !each.isUnproved()).map(State::id).toList();
          var doubtful = states.stream().filter(State::isUnproved).map(State::id).toList();
          assertEquals(
              List.of(strings(one, "good"), strings(one, "doubtful")), List.of(good, doubtful));
        });
  }

  // ---- what the vectors say

  /** A test for each case of a list, called as the case is. */
  private static Stream<DynamicTest> each(
      JsonObject vectors, String list, Consumer<JsonObject> test) {
    return vectors.getAsJsonArray(list).asList().stream()
        .map(JsonElement::getAsJsonObject)
        .map(one -> DynamicTest.dynamicTest(nameOf(one), () -> test.accept(one)));
  }

  private static String nameOf(JsonObject one) {
    var name = one.has("name") ? text(one, "name") : "";
    return name.isBlank() ? one.toString() : name;
  }

  private static JsonObject read(String name) {
    try {
      var file = Path.of("..", "vectors", name);
      return expand(JsonParser.parseString(Files.readString(file))).getAsJsonObject();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Writes out what is repeated. */
  private static JsonElement expand(JsonElement value) {
    if (value.isJsonArray()) {
      var array = new JsonArray();
      value.getAsJsonArray().forEach(each -> array.add(expand(each)));
      return array;
    }
    if (!value.isJsonObject()) {
      return value;
    }
    var repeat = value.getAsJsonObject().getAsJsonObject("$repeat");
    if (repeat != null && repeat.has("text")) {
      return new JsonPrimitive(text(repeat, "text").repeat(repeat.get("count").getAsInt()));
    }
    if (repeat != null) {
      var array = new JsonArray();
      for (int at = 0; at < repeat.get("count").getAsInt(); at++) {
        array.add(expand(repeat.get("item")));
      }
      return array;
    }
    var object = new JsonObject();
    value.getAsJsonObject().entrySet().forEach(e -> object.add(e.getKey(), expand(e.getValue())));
    return object;
  }

  private static <B extends Message.Builder> B message(JsonElement json, B builder) {
    try {
      JsonFormat.parser().merge(json.toString(), builder);
      return builder;
    } catch (InvalidProtocolBufferException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String text(JsonObject object, String field) {
    return object.get(field).getAsString();
  }

  private static boolean isValid(JsonObject one) {
    return one.get("valid").getAsBoolean();
  }

  private static List<String> strings(JsonObject object, String field) {
    var list = new ArrayList<String>();
    if (object.has(field)) {
      object.getAsJsonArray(field).forEach(each -> list.add(each.getAsString()));
    }
    return list;
  }

  private static String lower(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT);
  }

  private static String hex(ByteString bytes) {
    return HexFormat.of().formatHex(bytes.toByteArray());
  }

  private static ByteString unhex(String digits) {
    return ByteString.copyFrom(HexFormat.of().parseHex(digits));
  }

  private static ByteString contentOf(JsonObject one) {
    if (one.has("text")) {
      return ByteString.copyFromUtf8(text(one, "text"));
    }
    return one.has("data") ? unhex(text(one, "data")) : seeded(one.getAsJsonObject("seed"));
  }

  /** So many bytes of the hashes of a seed and a number. */
  private static ByteString seeded(JsonObject seed) {
    int size = seed.get("size").getAsInt();
    var bytes = ByteString.EMPTY;
    for (int number = 0; bytes.size() < size; number++) {
      var block = (text(seed, "seed") + ":" + number).getBytes(StandardCharsets.UTF_8);
      bytes = bytes.concat(ByteString.copyFrom(sha256(block)));
    }
    return bytes.substring(0, size);
  }

  private static byte[] sha256(byte[] bytes) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(bytes);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Of one side of a judgement; null for a deletion. */
  private static ByteString printIn(JsonObject side) {
    return side.get("fingerprint").isJsonNull() ? null : unhex(text(side, "fingerprint"));
  }

  /** What the comparison's contents are called by; null for none. */
  private static ByteString printOf(JsonElement name) {
    var contents = COMPARISON.getAsJsonObject("contents");
    return name.isJsonNull() ? null : unhex(text(contents, name.getAsString()));
  }

  private static State stateOf(JsonObject state) {
    return new State(
        "x", printOf(state.get("content")), state.get("revision").getAsLong(), 0, 0, null);
  }

  private static Entry entryOf(JsonObject client) {
    var entry = new Entry("x");
    var base = client.getAsJsonObject("base");
    var pending = client.getAsJsonObject("pending");
    var now = pending == null ? base : pending;
    var fingerprint = now == null ? null : printOf(now.get("content"));
    entry.mine = fingerprint == null ? null : new Version(fingerprint, ByteString.EMPTY, false);
    entry.base = base == null ? null : stateOf(base);
    entry.pending = pending == null ? null : new Entry.Pending();
    return entry;
  }

  private static List<ByteString> sendingsOf(JsonObject client) {
    var sendings = new ArrayList<ByteString>();
    client.getAsJsonArray("sendings").forEach(name -> sendings.add(printOf(name)));
    return sendings;
  }
}
