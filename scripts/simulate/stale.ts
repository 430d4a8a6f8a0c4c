import { createDriver } from "../../core/drive.js";
import { ErrorReason } from "../../core/fault.js";
import { ExchangeRequest } from "../../gen/tercet/v1/sync.js";
import { createServerExchange } from "../../server/protocol/exchange.js";
import type { ServerOperation, ServerResult } from "../../server/protocol/operation.js";
import type { Random } from "./random.js";
import type { SessionConfig } from "./session.js";

/** A stream of an earlier client whose messages arrive once more, or at last. Nobody reads the answers. */
export interface StaleStream {
  readonly live: boolean;
  /** The next message arrives. */
  deliver(random: Random): void;
  kill(): void;
}

/** A server's side that hears these messages; `run` answers undefined where the server has crashed. */
export function openStaleStream(
  config: SessionConfig,
  messages: readonly Uint8Array[],
  run: (operation: ServerOperation) => ServerResult | undefined,
  nowUs: () => number,
): StaleStream {
  const left = [...messages];
  let live = true;
  const { serverLimits: limits, skewUs, stepTimeoutUs, heartbeatUs } = config;
  const driver = createDriver(createServerExchange({ limits, skewUs, stepTimeoutUs, heartbeatUs }), {
    send: () => true,
    store(operation) {
      const result = live ? run(operation) : undefined;
      if (result !== undefined) return result;
      kill();
      throw new Error("crashed");
    },
    close() {
      live = false;
    },
    toFault: (error) => ({ reason: ErrorReason.ERROR_REASON_INTERNAL, message: String(error) }),
    // Nobody waits for it: what is left of its turn is done with its next message.
    yieldThen: (resume) => resume(),
  });

  function kill(): void {
    live = false;
    driver.stop();
  }

  return {
    get live() {
      return live;
    },
    deliver() {
      const bytes = left.shift();
      if (bytes === undefined) return kill();
      driver.receive(ExchangeRequest.decode(bytes), nowUs());
    },
    kill,
  };
}
