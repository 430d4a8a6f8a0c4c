import { isIP } from "node:net";
import type { ConnectionOptions as TlsOptions } from "node:tls";
import { type ChannelCredentials, credentials } from "@grpc/grpc-js";
import { tlsFault } from "./check-tls.js";
import type { ConnectOptions } from "./connection.js";
import { invalidField } from "./validate.js";

/**
 * The credentials of a connection: none, or TLS.
 *
 * @throws TercetError INVALID_FIELD where they are not what they should be.
 */
export function channelCredentials({ tls }: Pick<ConnectOptions, "tls">): ChannelCredentials {
  const fault = tlsFault(tls);
  if (fault !== undefined) throw invalidField(fault.part === "" ? "tls" : `tls.${fault.part}`, fault.description);
  if (tls === undefined) return credentials.createInsecure();
  if (tls === true) return withoutAddressAsName(credentials.createSsl());
  const buffer = (bytes: Uint8Array | undefined): Buffer | null => (bytes === undefined ? null : Buffer.from(bytes));
  return withoutAddressAsName(credentials.createSsl(buffer(tls.ca), buffer(tls.key), buffer(tls.cert)));
}

/**
 * Does not tell an IP address as the name of the server, which RFC 6066 forbids and Node warns of (DEP0123). The certificate
 * is held against the address all the same, which Node then takes from `host`. grpc-js names whatever it connects to, and
 * has no option for it: this reaches into private members of 1.14, and where they are gone only the warning is back.
 */
function withoutAddressAsName(ssl: ChannelCredentials): ChannelCredentials {
  const create: ChannelCredentials["_createSecureConnector"] | undefined = ssl._createSecureConnector;
  if (create === undefined) return ssl;
  ssl._createSecureConnector = (...given) => {
    const connector = create.apply(ssl, given);
    const { connectionOptions } = connector as unknown as { readonly connectionOptions?: TlsOptions };
    const { servername, host } = connectionOptions ?? {};
    if (connectionOptions !== undefined && servername === host && isIP(servername ?? "") !== 0) {
      delete connectionOptions.servername;
    }
    return connector;
  };
  return ssl;
}
