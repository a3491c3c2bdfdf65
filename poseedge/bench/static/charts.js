// Small charts in SVG: scales, axes, marks with a tip.
const SVG = "http://www.w3.org/2000/svg";

export function svg(name, attributes = {}, ...inside) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
}

export function html(name, attributes = {}, ...inside) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in made && typeof value !== "string") made[key] = value;
    else made.setAttribute(key === "className" ? "class" : key, value);
  }
  made.append(...inside);
  return made;
}

// A number as a person writes it: three digits that matter.
export function number(value, digits = 3) {
  if (!Number.isFinite(value)) return "-"; // null, undefined and NaN, too
  if (value === 0) return "0";
  const size = Math.floor(Math.log10(Math.abs(value)));
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : value.toFixed(Math.max(digits - 1 - size, 0));
}

// A number on an axis: no more digits than it has.
const onAxis = (value) => (+value.toPrecision(6)).toLocaleString("en", { maximumFractionDigits: 6 });

export function scale(low, high, from, to, log = false) {
  const way = log ? Math.log : (value) => value;
  const [a, b] = [way(low), way(high)];
  const put = (value) => from + (to - from) * ((way(value) - a) / (b - a || 1));
  put.ticks = log ? logTicks(low, high) : linearTicks(low, high);
  return put;
}

function linearTicks(low, high, most = 6) {
  const rough = (high - low) / most || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((each) => each * power >= rough) * power;
  const ticks = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) ticks.push(+at.toPrecision(12));
  return ticks;
}

function logTicks(low, high) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    for (const each of [1, 2, 5]) {
      const at = each * 10 ** power;
      if (at >= low * 0.999 && at <= high * 1.001) ticks.push(+at.toPrecision(3));
    }
  }
  return ticks.length > 1 ? ticks : linearTicks(low, high, 4);
}

const tip = document.getElementById("tip");

export function explain(mark, words) {
  const show = (event) => {
    tip.textContent = words;
    tip.hidden = false;
    const box = mark.getBoundingClientRect();
    const x = event.clientX ?? box.right, y = event.clientY ?? box.top;
    tip.style.left = `${Math.max(Math.min(x + 14, window.innerWidth - tip.offsetWidth - 8), 8)}px`;
    tip.style.top = `${Math.max(Math.min(y + 14, window.innerHeight - tip.offsetHeight - 8), 8)}px`;
  };
  mark.addEventListener("pointermove", show);
  mark.addEventListener("focus", show);
  for (const name of ["pointerleave", "blur"]) mark.addEventListener(name, () => { tip.hidden = true; });
  mark.setAttribute("tabindex", "0");
  mark.setAttribute("aria-label", words);
  return mark;
}

// Draws now, and again whenever the width changes.
export function drawn(holder, draw) {
  let width = 0;
  const again = (force) => {
    const now = Math.floor(holder.clientWidth);
    if (now < 40 || (now === width && !force)) return;
    width = now;
    holder.replaceChildren(...[draw(width)].flat());
  };
  new ResizeObserver(() => again(false)).observe(holder);
  again(true);
  return () => again(true);
}

export function xAxis(put, low, high, words, top, bottom) {
  const parts = [];
  let free = -Infinity;
  for (const tick of put.ticks) {
    const x = put(tick), text = onAxis(tick);
    parts.push(svg("line", { class: "grid", x1: x, x2: x, y1: top, y2: bottom }));
    if (x - text.length * 4 < free) continue;
    free = x + text.length * 4 + 8;
    parts.push(svg("text", { x, y: bottom + 18, "text-anchor": "middle" }, text));
  }
  parts.push(svg("line", { class: "axis", x1: low, x2: high, y1: bottom, y2: bottom }));
  parts.push(svg("text", { x: high, y: bottom + 36, "text-anchor": "end" }, words));
  return parts;
}

export function yAxis(put, left, right, words) {
  const parts = put.ticks.flatMap((tick) => [
    svg("line", { class: "grid", x1: left, x2: right, y1: put(tick), y2: put(tick) }),
    svg("text", { x: left - 8, y: put(tick) + 4, "text-anchor": "end" }, onAxis(tick)),
  ]);
  return [...parts, svg("text", { x: left - 8, y: 12, "text-anchor": "start", dx: -34 }, words)];
}

const SHAPES = {
  circle: (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`,
  square: (r) => `M${-r * 0.9} ${-r * 0.9}h${1.8 * r}v${1.8 * r}h${-1.8 * r}z`,
  triangle: (r) => `M0 ${-1.15 * r}L${1.1 * r} ${0.85 * r}H${-1.1 * r}z`,
  diamond: (r) => `M0 ${-1.25 * r}L${1.15 * r} 0L0 ${1.25 * r}L${-1.15 * r} 0z`,
  cross: (r) => `M${-r} ${-r}L${r} ${r}M${-r} ${r}L${r} ${-r}`,
};
export const SHAPE_NAMES = Object.keys(SHAPES);

export function marker(shape, colour, x, y, radius = 7) {
  const line = shape === "cross";
  return svg("path", {
    d: SHAPES[shape](radius), transform: `translate(${x} ${y})`, fill: line ? "none" : colour,
    stroke: line ? colour : "#fff", "stroke-width": line ? 3 : 1.5,
  });
}
