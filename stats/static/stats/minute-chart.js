// <minute-chart least-height="4">: two figures for each minute, as bars. The highest bar fills the chart, unless it is
// less than `least-height`. The table beside the chart has the same figures.

import { number, setText, timeOfDay } from "shop/formats.js";

class MinuteChart extends HTMLElement {
  /** Draw `[{minute, reserved, paid}]`, the oldest first. */
  show(minutes) {
    const least = Number(this.getAttribute("least-height"));
    const most = Math.max(least, ...minutes.map(({ reserved, paid }) => Math.max(reserved, paid)));
    const bars = this.querySelectorAll("g");
    minutes.forEach(({ reserved, paid }, nth) => {
      const [back, front] = bars[nth].children;
      back.setAttribute("height", ((100 * reserved) / most).toFixed(2));
      front.setAttribute("height", ((100 * paid) / most).toFixed(2));
    });
    setText(this.querySelector('[data-field="most"]'), number(most));
    setText(this.querySelector('[data-field="first"]'), timeOfDay(minutes[0].minute));
  }
}

customElements.define("minute-chart", MinuteChart);
