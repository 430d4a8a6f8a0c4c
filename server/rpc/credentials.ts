import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { ServerCredentials } from "@grpc/grpc-js";
import { StartError } from "../start-error.js";

/** Certificates in PEM. */
export interface TlsOptions {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Of the authorities whose client certificates are accepted; clients then need one. */
  readonly ca?: Buffer;
}

/** Names of the options in messages. */
const CERT = "tls.cert (--tls-cert)";
const KEY = "tls.key (--tls-key)";
const CA = "tls.ca (--tls-ca)";

/** What a server shows and asks for when a connection is made. Throws a StartError that names the option at fault. */
export function createCredentials(tls: TlsOptions | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  for (const [option, pem] of [[CERT, tls.cert] as const, [KEY, tls.key] as const]) {
    if (!(pem instanceof Uint8Array)) throw new StartError(`${option} must be bytes, of PEM`);
  }
  if (isKey(tls.cert) && isCertificate(tls.key)) {
    throw new StartError(`${CERT} is a private key and ${KEY} a certificate: they are swapped`);
  }
  const cert = readCertificate(tls.cert, CERT);
  if (!cert.checkPrivateKey(readKey(tls.key))) throw new StartError(`${KEY} is not the key of ${CERT}`);
  if (tls.ca !== undefined) readCertificate(tls.ca, CA);
  try {
    const pair = { cert_chain: tls.cert, private_key: tls.key };
    return ServerCredentials.createSsl(tls.ca ?? null, [pair], tls.ca !== undefined);
  } catch (cause) {
    throw new StartError(`${CERT} or ${KEY} can't be used: ${messageOf(cause)}`, { cause });
  }
}

function readCertificate(pem: Buffer, option: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new StartError(`${option} is not a certificate in PEM: ${messageOf(cause)}`, { cause });
  }
}

function readKey(pem: Buffer): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new StartError(`${KEY} is not a private key in PEM: ${messageOf(cause)}`, { cause });
  }
}

function isKey(pem: Buffer): boolean {
  return /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem.toString("latin1"));
}

function isCertificate(pem: Buffer): boolean {
  return pem.includes("-----BEGIN CERTIFICATE-----");
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
