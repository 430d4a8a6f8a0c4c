import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import type { ConnectOptions } from "./connection.js";

/** What is wrong with an option of TLS. */
export interface TlsFault {
  /** As in ConnectOptions; "" is `tls` itself. */
  readonly part: "" | "ca" | "cert" | "key";
  readonly description: string;
}

/**
 * What is wrong with how to connect by TLS, or undefined. gRPC and Node take authorities that are no certificates for none
 * at all, and then blame the server's certificate.
 */
export function tlsFault(tls: ConnectOptions["tls"]): TlsFault | undefined {
  if (tls === undefined || tls === true) return undefined;
  if (typeof tls !== "object" || tls === null) return { part: "", description: "must be true, or ca, cert and key" };
  const { ca, cert, key } = tls;
  if (ca !== undefined && certificateIn(ca) === undefined) return { part: "ca", description: NO_CERTIFICATE };
  if (cert === undefined && key === undefined) return undefined;
  if (key === undefined) return { part: "cert", description: "needs its private key, too" };
  if (cert === undefined) return { part: "key", description: "needs its certificate, too" };
  const certificate = certificateIn(cert);
  if (certificate === undefined) return { part: "cert", description: NO_CERTIFICATE };
  const privateKey = keyIn(key);
  if (privateKey === undefined) return { part: "key", description: "is not a private key in PEM" };
  if (!certificate.checkPrivateKey(privateKey))
    return { part: "key", description: "is not the key of the certificate" };
  return undefined;
}

const NO_CERTIFICATE = "is not a certificate in PEM";

/** The first one. */
function certificateIn(pem: Uint8Array): X509Certificate | undefined {
  try {
    const bytes = Buffer.from(pem);
    return /-----BEGIN [A-Z0-9 ]*CERTIFICATE-----/.test(bytes.toString("latin1"))
      ? new X509Certificate(bytes)
      : undefined;
  } catch {
    return undefined;
  }
}

function keyIn(pem: Uint8Array): KeyObject | undefined {
  try {
    return createPrivateKey(Buffer.from(pem));
  } catch {
    return undefined;
  }
}
