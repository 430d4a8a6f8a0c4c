package tercet.client;

import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.EnumSet;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import tercet.v1.Epoch;
import tercet.v1.ExchangeRequest;
import tercet.v1.ExchangeResponse;
import tercet.v1.ExchangeResponse.MessageCase;
import tercet.v1.SyncServiceGrpc;

/**
 * The stream, for one thread that sends and reads. That can't deadlock: sending never blocks, and
 * what is sent without waiting for an answer fits into the window, so that little is queued.
 */
final class ExchangeStream implements AutoCloseable {
  /** A server that is gone without a word is found out by pings; not too many of them. */
  private static final long KEEPALIVE_MINUTES = 5;

  /** What came: a message, the end (neither), or an error. */
  private record Event(ExchangeResponse response, StatusRuntimeException error) {}

  private final ReentrantLock lock;
  private final Consumer<Epoch> epochBegun;
  private final ManagedChannel channel;
  private final BlockingQueue<Event> events = new LinkedBlockingQueue<>();
  private final Deque<ExchangeResponse> putOff = new ArrayDeque<>();
  private final Observer observer = new Observer();

  /**
   * An exchange that begins.
   *
   * @param timeout null for none
   * @param lock held by the caller, and left to others while the server is waited for
   * @param epochBegun new epochs may be told at any time, and count at once
   */
  ExchangeStream(String server, Duration timeout, ReentrantLock lock, Consumer<Epoch> epochBegun) {
    this.lock = lock;
    this.epochBegun = epochBegun;
    channel =
        Grpc.newChannelBuilder(server, InsecureChannelCredentials.create())
            .keepAliveTime(KEEPALIVE_MINUTES, TimeUnit.MINUTES)
            .build();
    var stub = SyncServiceGrpc.newStub(channel);
    if (timeout != null) {
      stub = stub.withDeadlineAfter(timeout);
    }
    stub.exchange(observer);
  }

  /** Sends one message. */
  void send(Consumer<ExchangeRequest.Builder> message) {
    var request = ExchangeRequest.newBuilder();
    message.accept(request);
    observer.call.onNext(request.build());
  }

  /** The next message: one that was put off before, or one that comes. */
  ExchangeResponse receive() {
    return putOff.isEmpty() ? read() : putOff.remove();
  }

  /** The next message of these kinds. Others that come first are put off. */
  ExchangeResponse receiveOnly(MessageCase kind, MessageCase... others) {
    var kinds = EnumSet.of(kind, others);
    while (true) {
      var response = read();
      if (kinds.contains(response.getMessageCase())) {
        return response;
      }
      putOff.add(response);
    }
  }

  /** Half-closes, and waits for the server's end of the stream. */
  void finish() {
    observer.call.onCompleted();
    while (next() != null) {}
  }

  /** Ends the call at once, where it has not ended. */
  @Override
  public void close() {
    observer.call.cancel("the exchange has ended", null);
    channel.shutdownNow();
  }

  private ExchangeResponse read() {
    for (var response = next(); response != null; response = next()) {
      switch (response.getMessageCase()) {
        case EPOCH_BEGUN -> epochBegun.accept(response.getEpochBegun().getEpoch());
        case MESSAGE_NOT_SET -> {
          // A message that this client does not know is none to it.
        }
        default -> {
          return response;
        }
      }
    }
    throw ClientException.outOfOrder("the server ended the exchange before it was through");
  }

  /** The next message, null at the end of the stream. */
  private ExchangeResponse next() {
    var event = await();
    if (event.error != null) {
      throw event.error;
    }
    if (event.response != null) {
      observer.call.request(1);
    }
    return event.response;
  }

  private Event await() {
    lock.unlock();
    try {
      return events.take();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw Status.CANCELLED.withDescription("interrupted").withCause(e).asRuntimeException();
    } finally {
      lock.lock();
    }
  }

  /** Queues what comes; one message is asked for with each that is taken. */
  private final class Observer
      implements ClientResponseObserver<ExchangeRequest, ExchangeResponse> {
    private ClientCallStreamObserver<ExchangeRequest> call;

    @Override
    public void beforeStart(ClientCallStreamObserver<ExchangeRequest> call) {
      this.call = call;
      call.disableAutoRequestWithInitial(1);
    }

    @Override
    public void onNext(ExchangeResponse response) {
      events.add(new Event(response, null));
    }

    @Override
    public void onError(Throwable error) {
      var status = Status.fromThrowable(error);
      events.add(new Event(null, status.asRuntimeException(Status.trailersFromThrowable(error))));
    }

    @Override
    public void onCompleted() {
      events.add(new Event(null, null));
    }
  }
}
