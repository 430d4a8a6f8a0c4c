import type { handleUnaryCall, MethodDefinition } from "@grpc/grpc-js";
import type { Awaitable } from "../store/store.js";
import { faultOf } from "./error-fault.js";
import { refuse } from "./fault-error.js";
import { toStatus } from "./status.js";
import { decodeRequest } from "./strict-decode.js";
import type { RpcWorld } from "./world.js";

/** A method as it was generated. */
export type GeneratedMethod<Request, Response> = Pick<
  MethodDefinition<Request, Response>,
  "path" | "requestDeserialize" | "responseSerialize"
>;

/** Answers a request, or throws: a FaultError for what is the caller's, anything else for what is not. */
export type UnaryHandler<Request, Response> = (request: Request) => Awaitable<Response>;

/** Whether a method is refused while the server drains. */
export type CallKind = "read" | "write";

/** Makes the handlers of a service's unary methods. Nothing that a handler does rejects unhandled. */
export function createUnary(world: Pick<RpcWorld, "gate" | "log">) {
  return <Request, Response>(
    kind: CallKind,
    method: GeneratedMethod<Request, Response>,
    handler: UnaryHandler<Request, Response>,
  ): handleUnaryCall<Buffer, Buffer> => {
    async function answer(bytes: Buffer): Promise<Buffer> {
      if (kind === "write") refuse(world.gate.refusal());
      return method.responseSerialize(await handler(decodeRequest(method, bytes)));
    }
    return (call, callback) => {
      const end = world.gate.begin();
      const log = world.log.child({ method: method.path });
      answer(call.request)
        .then(
          (response) => callback(null, response),
          (error: unknown) => callback(toStatus(faultOf(error, log))),
        )
        .catch((error: unknown) => log.error({ err: error }, "an answer could not be given"))
        .finally(end);
    };
  };
}
