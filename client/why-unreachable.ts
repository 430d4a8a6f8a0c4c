/** Of what Node, OpenSSL and grpc-js say, the words that are known. */
const REASONS: readonly (readonly [said: RegExp, words: string])[] = [
  [/ECONNREFUSED/, "nothing listens there"],
  [/ENOTFOUND|EAI_AGAIN|Name resolution failed/, "no host has that name"],
  [
    /wrong version number|packet length too long|unexpected message/,
    "what listens there does not speak TLS (is it the right port, and TLS on both sides or on neither?)",
  ],
  [/ALTNAME_INVALID/, "its certificate is for another name or address"],
  [/certificate has expired/, "its certificate has expired (or is this machine's clock wrong?)"],
  [/certificate is not yet valid/, "its certificate is not valid yet (or is this machine's clock wrong?)"],
  [
    /self-signed certificate|unable to (verify|get)/,
    "its certificate is of no authority that is trusted here (--tls-ca, tls.ca)",
  ],
  [
    /alert (certificate required|handshake failure)/,
    "it asks for a certificate of this client (--tls-cert and --tls-key, tls.cert and tls.key)",
  ],
  [
    /alert (unknown ca|bad certificate|certificate (expired|unknown|revoked)|unsupported certificate)/,
    "it does not accept the certificate that this client shows (--tls-cert, tls.cert)",
  ],
  [
    /Protocol error|Failed to connect/,
    "what listens there does not speak gRPC (is it the right port, TLS on both sides or on neither, and this client's certificate, if it shows one, accepted?)",
  ],
];

/** Why no connection came about, in words, of the details of grpc-js. */
export function whyUnreachable(details: string): string {
  const known = REASONS.find(([said]) => said.test(details));
  if (known !== undefined) return known[1];
  return details
    .replace(/^No connection established\. Last error: (Error: )?/, "")
    .replace(/\.? *Resolution note: *$/, "");
}
