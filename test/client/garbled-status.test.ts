import { Metadata, Server, ServerCredentials, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, it } from "vitest";
import { connect, METHODS } from "../../client/index.js";
import { ItemServiceService } from "../../gen/tercet/v1/item_service.js";
import { SyncServiceService } from "../../gen/tercet/v1/sync_service.js";
import { type Place, refusal, startPlace } from "./harness.js";

let place: Place;
let address: string;
const server = new Server();

/** A status whose details are no protobuf: of a proxy, or of a server that is something else. */
function garbled(): { code: number; details: string; metadata: Metadata } {
  const metadata = new Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from([0xff, 0xff, 0xff, 0x01, 0x02]));
  return { code: status.PERMISSION_DENIED, details: "not you", metadata };
}

beforeAll(async () => {
  place = await startPlace();
  const exchange = (call: { emit(event: "error", status: object): void }) => void call.emit("error", garbled());
  server.addService({ exchange: SyncServiceService.exchange }, { exchange });
  const getItem = (_: unknown, callback: (error: object) => void): void => callback(garbled());
  server.addService({ getItem: ItemServiceService.getItem }, { getItem });
  address = await new Promise<string>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(`127.0.0.1:${port}`) : reject(error),
    );
  });
});

afterAll(async () => {
  server.forceShutdown();
  await place.stop();
});

const TOLD = { code: "PERMISSION_DENIED", reason: "", message: "not you", fields: [] };

it("an exchange whose status has details that can't be read ends with the status", async () => {
  expect(await refusal(() => place.replica().sync({ server: address }))).toMatchObject(TOLD);
});

it("so does a plain call", async () => {
  const connection = connect(address);
  const request = { collection: "c", id: "a", offset: 0, length: 0 };
  expect(await refusal(() => connection.unary(METHODS.getItem, request))).toMatchObject(TOLD);
  await connection.close();
});
