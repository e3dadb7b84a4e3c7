// Announcements for screen readers: at most one in ten seconds, except for urgent ones. A new sentence replaces one
// that still waits.

const PAUSE = 10_000; // milliseconds
let waiting = null;
let pauseUntil = 0;

/** Announce a sentence when the pause after the last announcement has ended; an urgent sentence at once. */
export function announce(sentence, { urgent = false } = {}) {
  waiting = sentence;
  const wait = urgent ? 0 : Math.max(0, pauseUntil - performance.now());
  setTimeout(write, wait);
}

function write() {
  if (waiting === null) return;
  document.getElementById("announcements").textContent = waiting;
  waiting = null;
  pauseUntil = performance.now() + PAUSE;
}
