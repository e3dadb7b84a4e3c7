// Reads QR codes with a camera: by the browser's own detector if it has one, otherwise by the server.

import { recall, remember } from "admission/door-store.js";

const EVERY = 250; // milliseconds between two pictures
const SIDE = 400; // pixels of the square that is sent to the server
const CHOSEN = "door-camera";

/** Call `onCode(text)` for each code that a camera sees, and `onLost()` when the browser has ended the camera.
 *  `readAtServer(grey, width)` lets the server read a picture. */
export class Camera {
  constructor(video, { onCode, readAtServer, onLost }) {
    Object.assign(this, { video, onCode, readAtServer, onLost });
    this.canvas = document.createElement("canvas");
    this.canvas.width = this.canvas.height = SIDE;
    document.addEventListener("visibilitychange", () => this.stayAwake());
  }

  get isOpen() {
    return this.stream !== undefined;
  }

  /** Open the camera that was chosen last, or the one at the back; raise the browser's error. */
  async open(deviceId = recall(CHOSEN)) {
    this.close();
    const video = deviceId ? { deviceId: { ideal: deviceId } } : { facingMode: { ideal: "environment" } };
    this.stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
    this.video.srcObject = this.stream;
    await this.video.play();
    [this.track] = this.stream.getVideoTracks();
    this.track.onended = () => this.onLost(); // a browser does not call this after `close`
    remember(CHOSEN, this.track.getSettings().deviceId ?? "");
    this.detector = await detector();
    this.stayAwake();
    this.look();
  }

  close() {
    clearTimeout(this.timer);
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.awake?.release();
    this.stream = undefined;
    this.video.srcObject = null;
  }

  async cameras() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter(({ kind }) => kind === "videoinput");
  }

  get hasTorch() {
    return Boolean(this.track?.getCapabilities?.().torch);
  }

  async setTorch(on) {
    await this.track.applyConstraints({ advanced: [{ torch: on }] });
  }

  /** Keep the screen on: a phone with a dark screen scans nothing. The browser ends this when it hides the page. */
  async stayAwake() {
    if (document.hidden || !this.isOpen) return;
    const awake = await navigator.wakeLock?.request("screen").catch(() => undefined); // refused if the battery is low
    if (this.isOpen) this.awake = awake;
    else awake?.release();
  }

  async look() {
    const stream = this.stream;
    try {
      const code = this.detector ? await this.detect() : await this.ask();
      if (code && stream === this.stream) this.onCode(code);
    } catch {
      // The network is away, or the picture was not ready. The next picture may succeed.
    }
    if (stream !== undefined && stream === this.stream) this.timer = setTimeout(() => this.look(), EVERY);
  }

  async detect() {
    const [found] = await this.detector.detect(this.video);
    return found?.rawValue;
  }

  /** Send the square in the middle of the picture, in grey, and return the code that the server reads in it. */
  async ask() {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (!width) return null;
    const side = Math.min(width, height);
    const context = this.canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(this.video, (width - side) / 2, (height - side) / 2, side, side, 0, 0, SIDE, SIDE);
    const { data } = context.getImageData(0, 0, SIDE, SIDE);
    const grey = new Uint8Array(SIDE * SIDE);
    for (let at = 0; at < grey.length; at++) {
      grey[at] = (data[4 * at] * 77 + data[4 * at + 1] * 151 + data[4 * at + 2] * 28) >> 8;
    }
    return this.readAtServer(grey, SIDE);
  }
}

async function detector() {
  const formats = (await globalThis.BarcodeDetector?.getSupportedFormats?.()) ?? [];
  return formats.includes("qr_code") ? new globalThis.BarcodeDetector({ formats: ["qr_code"] }) : null;
}
