// The sky maps. Squares are drawn at their places, one degree wide; those that the table does not show are faint.
"use strict";

(() => {
  const { map, states, state, rms, ra, dec, name } = globalThis.CAMPAIGN;
  const EDGE = { left: 46, right: 10, top: 10, bottom: 34 };
  const RA_STEPS = [0.25, 0.5, 1.25, 2.5, 5, 7.5, 15, 30, 60, 90];
  const DEC_STEPS = [0.25, 0.5, 1, 2, 5, 10, 20, 30];
  const NEAR = 8; // CSS pixels from the pointer
  const ON_TOP = ["waiting", "done", "stopped", "at work", "failed"]; // what must be seen is drawn last
  let found = null;

  // How the sky lies on a canvas of this width: right ascension grows to the left.
  function layout(width) {
    const { west, width: span, south, north } = map.extent;
    const squeeze = span < 180 ? Math.max(0.05, Math.cos(((south + north) / 2) * (Math.PI / 180))) : 1;
    const inner = width - EDGE.left - EDGE.right;
    const scale = Math.min(inner / (span * squeeze), (0.7 * inner) / (north - south));
    const [wide, high] = [span * squeeze * scale, (north - south) * scale];
    const left = EDGE.left + (inner - wide) / 2;
    return {
      left, wide, high, height: high + EDGE.top + EDGE.bottom, perRa: squeeze * scale, perDec: scale,
      x: (degrees) => left + wide - ((((degrees - west) % 360) + 360) % 360) * squeeze * scale,
      y: (degrees) => EDGE.top + (north - degrees) * scale,
    };
  }

  function hours(degrees) {
    const minutes = Math.round((((degrees % 360) + 360) % 360) * 4);
    const rest = minutes % 60;
    return `${Math.floor(minutes / 60) % 24}h${rest ? String(rest).padStart(2, "0") + "m" : ""}`;
  }

  function grid(pen, at, css) {
    const { west, width, south, north } = map.extent;
    pen.strokeStyle = css.getPropertyValue("--line");
    pen.fillStyle = css.getPropertyValue("--soft");
    pen.font = "12px system-ui, sans-serif";
    pen.lineWidth = 1;
    pen.beginPath();
    const raStep = RA_STEPS.find((step) => step * at.perRa >= 60) || 90;
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (let tick = Math.ceil(west / raStep) * raStep; tick <= west + width + 1e-9; tick += raStep) {
      const x = at.left + at.wide - (tick - west) * at.perRa;
      pen.moveTo(x, EDGE.top);
      pen.lineTo(x, EDGE.top + at.high);
      pen.fillText(hours(tick), x, EDGE.top + at.high + 6);
    }
    const decStep = DEC_STEPS.find((step) => step * at.perDec >= 32) || 30;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (let tick = Math.ceil(south / decStep) * decStep; tick <= north + 1e-9; tick += decStep) {
      pen.moveTo(at.left, at.y(tick));
      pen.lineTo(at.left + at.wide, at.y(tick));
      pen.fillText(`${tick < 0 ? "−" : "+"}${Math.abs(tick)}°`, at.left - 6, at.y(tick));
    }
    pen.stroke();
    pen.strokeRect(at.left, EDGE.top, at.wide, at.high);
  }

  class Sky {
    // colours: gives, for the style of the page, the colour of each square; "" for one that is not drawn.
    constructor(canvas, colours, words) {
      Object.assign(this, { canvas, colours, words, tip: canvas.parentElement.querySelector(".tip"), drawn: [] });
      new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
      canvas.addEventListener("mousemove", (event) => this.tell(event));
      canvas.addEventListener("mouseleave", () => (this.tip.hidden = true));
      canvas.addEventListener("click", (event) => {
        const i = this.at(event);
        if (i !== null) document.dispatchEvent(new CustomEvent("picked", { detail: i }));
      });
    }

    draw() {
      const width = this.canvas.parentElement.clientWidth;
      if (!width) return;
      const at = (this.layout = layout(width));
      const sharp = window.devicePixelRatio || 1;
      this.canvas.style.height = `${at.height}px`;
      [this.canvas.width, this.canvas.height] = [Math.round(width * sharp), Math.round(at.height * sharp)];
      const pen = this.canvas.getContext("2d");
      pen.scale(sharp, sharp);
      const css = getComputedStyle(document.documentElement);
      grid(pen, at, css);
      const colours = this.colours(css);
      const high = Math.max(2, at.perDec * 0.96);
      pen.save();
      pen.beginPath();
      pen.rect(at.left, EDGE.top, at.wide, at.high);
      pen.clip();
      for (const shown of found ? [false, true] : [true]) {
        pen.globalAlpha = shown ? 1 : 0.15;
        for (const i of order) {
          if (!colours[i] || (found && Boolean(found[i]) !== shown)) continue;
          const wide = Math.max(2, Math.min(at.wide / 8, (at.perRa * 0.96) / Math.max(0.01, Math.cos((dec[i] * Math.PI) / 180))));
          pen.fillStyle = colours[i];
          pen.fillRect(at.x(ra[i]) - wide / 2, at.y(dec[i]) - high / 2, wide, high);
        }
      }
      pen.restore();
      this.drawn = colours;
    }

    // The square below the pointer; null without one.
    at(event) {
      const [px, py] = [event.offsetX, event.offsetY];
      let [best, least] = [null, Math.max(NEAR, this.layout.perDec) ** 2];
      for (const i of order) {
        if (!this.drawn[i] || (found && !found[i])) continue;
        const away = (this.layout.x(ra[i]) - px) ** 2 + (this.layout.y(dec[i]) - py) ** 2;
        if (away <= least) [best, least] = [i, away];
      }
      return best;
    }

    tell(event) {
      const i = this.at(event);
      this.tip.hidden = i === null;
      if (i === null) return;
      this.tip.textContent = `${name[i]}\n${this.words(i)}`;
      const room = this.canvas.clientWidth - this.tip.offsetWidth;
      this.tip.style.left = `${Math.max(0, Math.min(room, event.offsetX + 14))}px`;
      this.tip.style.top = `${event.offsetY + 14}px`;
    }
  }

  if (!map.extent) return;
  const rank = states.map((one) => ON_TOP.indexOf(one));
  const order = [...name.keys()].filter((i) => ra[i] !== null && dec[i] !== null);
  order.sort((a, b) => rank[state[a]] - rank[state[b]] || a - b);

  function byState(css) {
    const colours = states.map((one) => css.getPropertyValue(`--${one.replace(" ", "-")}-dot`));
    return state.map((number) => colours[number]);
  }

  function byNoise() {
    const [low, high] = map.scale;
    const last = map.colours.length - 1;
    return rms.map((value) =>
      value === null ? "" : map.colours[Math.max(0, Math.min(last, Math.round(((value - low) / (high - low)) * last)))],
    );
  }

  const noise = document.getElementById("noise-map");
  const maps = [new Sky(document.getElementById("state-map"), byState, (i) => states[state[i]])];
  if (noise) maps.push(new Sky(noise, byNoise, (i) => `${rms[i].toFixed(4)} mJy/beam`));
  const draw = () => maps.forEach((one) => one.draw());
  document.addEventListener("found", (event) => {
    found = event.detail;
    draw();
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
