// The rule of the draw, for a browser that computes its own place. docs/line.md states it; `sql/line_draw.sql` draws.

const AT_ONCE = 2_000; // keys that are computed before the page can react again

/** Return the place of a number by the published rule; null if the browser has no SHA-256, as with plain http.
 *
 * The numbers up to `drawn` take part in the draw; a later number is its own place. `value` is the public value. */
export async function placeOf(seed, digest, drawn, number, value = null) {
  if (number > drawn) return number;
  if (!globalThis.crypto?.subtle) return null;
  const before = [seed, digest, ...(value === null ? [] : [value])].join(" ");
  const mine = await keyOf(before, number);
  let place = 1;
  for (let first = 1; first <= drawn; first += AT_ONCE) {
    const numbers = Array.from({ length: Math.min(AT_ONCE, drawn - first + 1) }, (_, index) => first + index);
    const keys = await Promise.all(numbers.map((each) => keyOf(before, each)));
    place += keys.filter((key) => isSmaller(key, mine)).length;
  }
  return place;
}

async function keyOf(before, number) {
  const text = new TextEncoder().encode(`${before} ${number}`);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", text));
}

function isSmaller(key, other) {
  const at = key.findIndex((byte, index) => byte !== other[index]);
  return at !== -1 && key[at] < other[at];
}
