// The signals of a gate: a tone and a vibration for each sort of answer.

const TONES = { good: [[880, 0.12]], maybe: [[660, 0.12], [660, 0.12]], bad: [[220, 0.35]] };
const VIBRATIONS = { good: [80], maybe: [80, 80, 80], bad: [400] };

let audio;

/** Let the page make sounds. A browser allows this only after the first press. */
export function wakeSound() {
  audio ??= globalThis.AudioContext ? new AudioContext() : undefined;
  audio?.resume();
}

/** Signal an answer: "good", "maybe" or "bad". */
export function signal(kind) {
  navigator.vibrate?.(VIBRATIONS[kind]);
  if (audio?.state !== "running") return;
  let at = audio.currentTime;
  for (const [frequency, seconds] of TONES[kind]) {
    const tone = new OscillatorNode(audio, { frequency, type: kind === "bad" ? "square" : "sine" });
    tone.connect(new GainNode(audio, { gain: 0.25 })).connect(audio.destination);
    tone.start(at);
    tone.stop(at + seconds);
    at += seconds + 0.06;
  }
}
