/** A piece of a content that is uploaded. */
export interface UploadPiece {
  readonly uid: Uint8Array;
  /** 16 random bytes. */
  readonly uploadId: Uint8Array;
  /** Id of the item; the same for all pieces. */
  readonly id: string;
  /** Bytes of the whole content, and whether it is text; the same for all pieces. */
  readonly size: number;
  readonly text: boolean;
  readonly offset: number;
  /** Empty: only asks how much there is. */
  readonly data: Uint8Array;
  readonly nowUs: number;
}

/** How much of an upload there is. */
export interface UploadRead {
  readonly id: string;
  readonly size: number;
  readonly text: boolean;
  /** Bytes that are there. */
  readonly offset: number;
  /** Whether this piece was added. Else what is there at its place need not be what it brought. */
  readonly added: boolean;
  /** Another one for each upload that was ever begun, also under the same id: what was checked is known again by it. */
  readonly serial: number;
}

/** Names an upload that was checked. */
export interface UploadRef {
  readonly uploadId: Uint8Array;
  readonly serial: number;
}
