// <minute-chart>: two figures by the minute, as bars. The table beside it says the same.

import { number, put, timeOfDay } from "shop/words.js";

const LEAST = 4; // so that one reservation is not a tower

class MinuteChart extends HTMLElement {
  /** Will draw `[{minute, reserved, paid}]`, the oldest first. */
  show(minutes) {
    const most = Math.max(LEAST, ...minutes.map(({ reserved, paid }) => Math.max(reserved, paid)));
    const bars = this.querySelectorAll("g");
    minutes.forEach(({ reserved, paid }, nth) => {
      const [back, front] = bars[nth].children;
      back.setAttribute("height", ((100 * reserved) / most).toFixed(2));
      front.setAttribute("height", ((100 * paid) / most).toFixed(2));
    });
    put(this.querySelector('[data-field="most"]'), number(most));
    put(this.querySelector('[data-field="first"]'), timeOfDay(minutes[0].minute));
  }
}

customElements.define("minute-chart", MinuteChart);
