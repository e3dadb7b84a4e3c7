// What a screen reader is told: the latest of what happened, at most once in ten seconds.

const PAUSE = 10_000;
let waiting = null;
let quietUntil = 0;

/** Will have a sentence read aloud, soon. What is urgent does not wait for the others. */
export function announce(sentence, { urgent = false } = {}) {
  waiting = sentence;
  const wait = urgent ? 0 : Math.max(0, quietUntil - performance.now());
  setTimeout(speak, wait);
}

function speak() {
  if (waiting === null) return;
  document.getElementById("heard").textContent = waiting;
  waiting = null;
  quietUntil = performance.now() + PAUSE;
}
