package tercet.client;

import com.google.protobuf.Any;
import com.google.protobuf.Duration;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.util.List;
import tercet.v1.ErrorReason;

/**
 * What can be told of an error.
 *
 * @param code the canonical name
 * @param reason a reason of error.proto without its prefix; empty where there is none
 * @param fields those at fault
 * @param retryAfterMs null where nothing was said of it
 */
public record Failure(
    String code, String reason, String message, List<String> fields, Long retryAfterMs) {
  private static final String PREFIX = "ERROR_REASON_";

  /** Errors that are neither of this client nor the status of a call are bugs: INTERNAL. */
  public static Failure of(Exception error) {
    if (error instanceof ClientException own) {
      return new Failure(codeOf(own.reason()), own.reason(), own.getMessage(), List.of(), null);
    }
    if (error instanceof StatusRuntimeException told) {
      return ofStatus(told);
    }
    return new Failure("INTERNAL", "", String.valueOf(error), List.of(), null);
  }

  /** The name of a reason without its prefix; empty for none. */
  public static String reasonName(int reason) {
    if (reason == 0) {
      return "";
    }
    var known = ErrorReason.forNumber(reason);
    return known == null ? String.valueOf(reason) : known.name().substring(PREFIX.length());
  }

  /** The codes of what this side finds by itself: error.proto names them. */
  private static String codeOf(String reason) {
    return switch (reason) {
      case "UNVERIFIED" -> "DATA_LOSS";
      case "UNSUPPORTED" -> "UNIMPLEMENTED";
      case "STALLED" -> "DEADLINE_EXCEEDED";
      case "ITEM_HELD", "TOKEN_OTHER_HISTORY", "TOKEN_COMPACTED" -> "FAILED_PRECONDITION";
      default -> "INVALID_ARGUMENT";
    };
  }

  private static Failure ofStatus(StatusRuntimeException error) {
    var status = error.getStatus();
    var reason = "";
    List<String> fields = List.of();
    Long retryAfterMs = null;
    try {
      for (Any detail : StatusProto.fromThrowable(error).getDetailsList()) {
        if (detail.is(ErrorInfo.class)) {
          reason = detail.unpack(ErrorInfo.class).getReason();
        } else if (detail.is(BadRequest.class)) {
          var violations = detail.unpack(BadRequest.class).getFieldViolationsList();
          fields = violations.stream().map(BadRequest.FieldViolation::getField).toList();
        } else if (detail.is(RetryInfo.class)) {
          retryAfterMs = millisOf(detail.unpack(RetryInfo.class).getRetryDelay());
        }
      }
    } catch (InvalidProtocolBufferException | IllegalArgumentException e) {
      // Details that can't be read tell nothing; the status still does.
    }
    var message = status.getDescription() == null ? "" : status.getDescription();
    return new Failure(status.getCode().name(), reason, message, fields, retryAfterMs);
  }

  private static long millisOf(Duration delay) {
    return delay.getSeconds() * 1000 + delay.getNanos() / 1_000_000;
  }
}
