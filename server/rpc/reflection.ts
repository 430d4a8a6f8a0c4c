import { type handleBidiStreamingCall, status, type UntypedServiceImplementation } from "@grpc/grpc-js";
import {
  type ServerReflectionRequest,
  type ServerReflectionResponse,
  ServerReflectionService,
} from "../../gen/grpc/reflection/v1/reflection.js";
import { ServerReflectionService as ServerReflectionAlphaService } from "../../gen/grpc/reflection/v1alpha/reflection.js";
import type { Descriptors } from "./descriptors.js";
import type { ErrorLog } from "./error-fault.js";
import { faultOf } from "./error-fault.js";
import { toStatus } from "./status.js";
import { decodeRequest } from "./strict-decode.js";

type Question = NonNullable<ServerReflectionRequest["messageRequest"]>;
type Answer = NonNullable<ServerReflectionResponse["messageResponse"]>;

/**
 * The handlers of grpc.reflection.v1 and v1alpha, whose messages are the same on the wire: they serve the compiled files as
 * they are. (@grpc/reflection serves files without their dependencies, which strict pools refuse: grpc-node#3018.)
 */
export function createReflectionHandlers(
  descriptors: Descriptors,
  services: readonly string[],
  log: ErrorLog,
): UntypedServiceImplementation {
  const method = ServerReflectionService.serverReflectionInfo;
  const serverReflectionInfo: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
    /** Files that went out on this stream. */
    const sent = new Set<string>();
    call.on("data", (bytes: Buffer) => {
      try {
        const request = decodeRequest(method, bytes);
        const messageResponse = answer(descriptors, services, request.messageRequest, sent);
        // One answer to each question, and clients wait for it: no more of them than questions are ever queued.
        if (
          !call.write(method.responseSerialize({ validHost: request.host, originalRequest: request, messageResponse }))
        )
          call.pause();
      } catch (error) {
        call.emit("error", toStatus(faultOf(error, log)));
      }
    });
    call.on("drain", () => call.resume());
    call.on("end", () => call.end());
  };
  return { serverReflectionInfo };
}

/** The services to register the handlers under. */
export const REFLECTION_SERVICES = [ServerReflectionService, ServerReflectionAlphaService] as const;

function answer(
  descriptors: Descriptors,
  services: readonly string[],
  question: Question | undefined,
  sent: Set<string>,
): Answer {
  switch (question?.$case) {
    case "listServices":
      return { $case: "listServicesResponse", value: { service: services.map((name) => ({ name })) } };
    case "fileByFilename":
      return files(descriptors, question.value, sent) ?? notFound(`file ${question.value}`);
    case "fileContainingSymbol": {
      const file = descriptors.fileOf(question.value);
      return files(descriptors, file, sent) ?? notFound(`symbol ${question.value}`);
    }
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = question.value;
      return notFound(`extension ${extensionNumber} of ${containingType}`);
    }
    case "allExtensionNumbersOfType":
      if (!descriptors.isMessage(question.value)) return notFound(`message ${question.value}`);
      // The contract is proto3 and extends nothing.
      return {
        $case: "allExtensionNumbersResponse",
        value: { baseTypeName: question.value, extensionNumber: [] },
      };
    case undefined:
      return failure(status.INVALID_ARGUMENT, "the request asks for nothing that this server knows");
  }
}

/** A file and those of its dependencies that the stream has not had; the file itself in any case. */
function files(descriptors: Descriptors, name: string | undefined, sent: Set<string>): Answer | undefined {
  const all = name === undefined ? undefined : descriptors.withDependencies(name);
  if (all === undefined) return undefined;
  const fresh = all.filter((file) => file.name === name || !sent.has(file.name));
  for (const file of fresh) sent.add(file.name);
  const fileDescriptorProto = fresh.map((file) => Buffer.from(file.bytes));
  return { $case: "fileDescriptorResponse", value: { fileDescriptorProto } };
}

function notFound(what: string): Answer {
  return failure(status.NOT_FOUND, `there is no ${what}`);
}

function failure(errorCode: status, errorMessage: string): Answer {
  return { $case: "errorResponse", value: { errorCode, errorMessage } };
}
