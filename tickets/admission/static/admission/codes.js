// Reads the code of a ticket, verifies its signature, and reads typed serials. docs/tickets.md describes the format.
// The tests of this module and those of Python use the same codes (tests/codes.json).

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
const LENGTH = 131;
const BYTES = 87;
const SIGNED = 23; // bytes that are signed; the rest is the signature
const VERSION = 1;

/** Return the bytes of a base45 text, or null. */
export function base45Read(text) {
  const bytes = [];
  for (let at = 0; at < text.length; at += 3) {
    const digits = [...text.slice(at, at + 3)].map((letter) => ALPHABET.indexOf(letter));
    const number = digits.reduceRight((sum, digit) => sum * 45 + digit, 0);
    if (digits.includes(-1) || digits.length === 1 || number >= 256 ** (digits.length - 1)) return null;
    if (digits.length === 3) bytes.push(number >> 8);
    bytes.push(number & 255);
  }
  return Uint8Array.from(bytes);
}

/** Return whether a text has the length of a code; any other text is a serial. */
export function isCode(text) {
  return text.length === LENGTH;
}

/** Return `{ key, event, ticket, issue, bytes }` of a code, or null. Do not trust it before `isSigned` says so. */
export function codeRead(code) {
  if (!isCode(code)) return null;
  const bytes = base45Read(code);
  if (bytes?.length !== BYTES || bytes[0] !== VERSION) return null;
  const view = new DataView(bytes.buffer);
  return {
    key: view.getUint32(1),
    event: Number(view.getBigUint64(5)),
    ticket: Number(view.getBigUint64(13)),
    issue: view.getUint16(21),
    bytes,
  };
}

/** Return a serial as it is stored, however a person typed it. */
export function serialRead(text) {
  return text.replace(/[\s-]/g, "").toUpperCase();
}

/** Return whether the signature in a code's bytes was made with the key whose public part is `publicKey`, in
 *  hexadecimal. Return null if this browser cannot verify signatures. */
export async function isSigned(bytes, publicKey) {
  const key = await keyOf(publicKey);
  if (key === null) return null;
  return crypto.subtle.verify("Ed25519", key, bytes.slice(SIGNED), bytes.slice(0, SIGNED));
}

/** Load a public key and check a signature with it, because a browser's first check with a key takes longest. */
export async function prepare(publicKey) {
  try {
    await isSigned(new Uint8Array(BYTES), publicKey);
  } catch { /* the check of a code will fail in the same way */ }
}

const keys = new Map();

function keyOf(publicKey) {
  if (!keys.has(publicKey)) keys.set(publicKey, importKey(publicKey));
  return keys.get(publicKey);
}

async function importKey(publicKey) {
  const raw = Uint8Array.from(publicKey.match(/../g), (byte) => Number.parseInt(byte, 16));
  try {
    return await crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"]);
  } catch {
    return null; // no WebCrypto here, or one without Ed25519
  }
}
