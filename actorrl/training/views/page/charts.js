// Charts of the report: lines, dots and error bars over a shared x, with a cursor that says what is there.
"use strict";

const NS = "http://www.w3.org/2000/svg";
const tip = document.getElementById("tip");

function make(tag, attributes = {}, text = "") {
  const svg = ["svg", "g", "path", "circle", "line", "rect", "text"].includes(tag);
  const node = svg ? document.createElementNS(NS, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== "") node.textContent = text;
  return node;
}

function number(x, digits = 3) {
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  const size = Math.abs(x);
  if (size >= 1e6) return (x / 1e6).toPrecision(3).replace(/\.?0+$/, "") + "M";
  if (size >= 1e4) return (x / 1e3).toFixed(size >= 1e5 ? 0 : 1).replace(/\.0$/, "") + "k";
  if (size !== 0 && size < 1e-3) return x.toExponential(1);
  if (Number.isInteger(x)) return String(x);
  return String(+x.toPrecision(Math.max(digits, Math.ceil(Math.log10(size + 1)))));
}

function ticks(low, high, count) {
  if (!(high > low)) return [low];
  const raw = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= raw * 0.999);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) found.push(+at.toPrecision(12));
  return found;
}

// The ticks of one axis: in one unit, with as many decimals each.
function labels(values) {
  const top = Math.max(...values.map(Math.abs)), [unit, letter] = top >= 1e6 ? [1e6, "M"] : top >= 1e4 ? [1e3, "k"] : [1, ""];
  const step = values.length > 1 ? Math.abs(values[1] - values[0]) / unit : 0;
  const decimals = step > 0 ? Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + (/25$/.test(step.toPrecision(2).replace(".", "")) ? 1 : 0)) : 0;
  return values.map((one) => (step === 0 || decimals > 4 ? number(one) : (one / unit).toFixed(decimals) + (one ? letter : "")));
}

// How numbers that are compared are written: with as many decimals each, so many digits in the largest.
function alike(values, digits = 4) {
  const top = Math.max(0, ...values.map(Math.abs));
  if (top >= 1e6 || top < 1e-3 || values.every(Number.isInteger)) return (one) => number(one, digits);
  const decimals = Math.max(0, digits - 1 - Math.max(0, Math.floor(Math.log10(top))));
  return (one) => one.toFixed(decimals);
}

function say(event, text) {
  tip.textContent = text;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = event.clientX + 16 + width > innerWidth ? event.clientX - 16 - width : event.clientX + 16;
  tip.style.left = Math.max(4, left) + "px";
  tip.style.top = Math.max(4, Math.min(event.clientY + 14, innerHeight - height - 6)) + "px";
}

function hush() {
  tip.hidden = true;
}

function nearest(xs, x) {
  let low = 0, high = xs.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle; else high = middle;
  }
  return Math.abs(xs[high] - x) < Math.abs(xs[low] - x) ? high : low;
}

function extent(series, zero) {
  let low = Infinity, high = -Infinity;
  for (const one of series) {
    one.y.forEach((y, i) => {
      if (y === null) return;
      const spread = one.spread ? one.spread[i] || 0 : 0;
      low = Math.min(low, y - spread);
      high = Math.max(high, y + spread);
    });
  }
  if (low > high) return [0, 1];
  if (zero) low = Math.min(low, 0);
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  return [low - (low === 0 && zero ? 0 : room), high + room];
}

// series: {name, x, y, colour, kind: "line" | "dots" | "bars" | "star", spread?, width?}
function chart(host, { series, height = 300, label = "", small = false, xlabel = "", cursor = null, onseek = null, xs = null }) {
  const draw = () => {
    const width = host.clientWidth || 600;
    const left = small ? 42 : 52, right = 10, top = 10, bottom = small ? 22 : xlabel ? 42 : 26;
    const all = series.flatMap((one) => one.x);
    const [x0, x1] = xs ? xs() : [Math.min(...all, 0), Math.max(...all, 1)];
    const [y0, y1] = extent(series, false);
    const X = (x) => left + ((x - x0) / (x1 - x0 || 1)) * (width - left - right);
    const Y = (y) => top + (1 - (y - y0) / (y1 - y0 || 1)) * (height - top - bottom);
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label });
    const marks = ticks(y0, y1, small ? 3 : 5), names = labels(marks);
    for (const [i, y] of marks.entries()) {
      svg.append(make("line", { class: "gridline", x1: left, x2: width - right, y1: Y(y), y2: Y(y) }));
      svg.append(make("text", { x: left - 7, y: Y(y) + 4, "text-anchor": "end" }, names[i]));
    }
    const across = ticks(x0, x1, Math.max(2, Math.floor(width / (small ? 90 : 110)))), places = labels(across);
    for (const [i, x] of across.entries()) {
      svg.append(make("text", { x: X(x), y: height - bottom + 17, "text-anchor": "middle" }, places[i]));
    }
    if (xlabel) svg.append(make("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, xlabel));
    for (const one of series) plotted(svg, xs ? within(one, x0, x1) : one, X, Y, small);
    const line = make("line", { class: "cursor", y1: top, y2: height - bottom, visibility: "hidden" });
    svg.append(line);
    const place = (x) => {
      line.setAttribute("x1", X(x));
      line.setAttribute("x2", X(x));
      line.setAttribute("visibility", "visible");
    };
    const at = (event) => x0 + ((event.clientX - svg.getBoundingClientRect().left - left) / (width - left - right)) * (x1 - x0);
    svg.addEventListener("mousemove", (event) => {
      const x = at(event), near = series.filter((one) => one.x.length).map((one) => [one, nearest(one.x, x)]);
      if (!near.length) return;
      const there = near.map(([one, i]) => `${one.name}  ${number(one.y[i], 4)}${one.spread ? " ± " + number(one.spread[i]) : ""}`);
      const where = near.map(([one, i]) => one.x[i]).reduce((a, b) => (Math.abs(a - x) <= Math.abs(b - x) ? a : b));
      if (cursor === null) place(where);
      say(event, `${xlabel || "step"} ${where.toLocaleString("en")}\n${there.join("\n")}`);
    });
    svg.addEventListener("mouseleave", () => { hush(); if (cursor === null) line.setAttribute("visibility", "hidden"); });
    if (onseek) {
      svg.style.cursor = "pointer";
      svg.addEventListener("click", (event) => onseek(Math.round(at(event))));
    }
    host.replaceChildren(svg);
    host.place = place;
    host.draw = draw;
    if (cursor !== null) place(cursor());
  };
  draw();
  new ResizeObserver(() => { if (Math.abs((host.clientWidth || 600) - (host.drawn || 0)) > 2) { host.drawn = host.clientWidth; draw(); } }).observe(host);
}

function within(one, x0, x1) {
  const there = one.x.map((x, i) => [x, one.y[i]]).filter(([x]) => x >= x0 && x <= x1);
  return { ...one, x: there.map(([x]) => x), y: there.map(([, y]) => y) };
}

function plotted(svg, one, X, Y, small) {
  if (one.kind === "dots") {
    one.x.forEach((x, i) => svg.append(make("circle", { cx: X(x), cy: Y(one.y[i]), r: 2, fill: one.colour, opacity: 0.65 })));
  } else if (one.kind === "bars") {
    one.x.forEach((x, i) => {
      const reach = one.spread[i] || 0;
      svg.append(make("line", { x1: X(x), x2: X(x), y1: Y(one.y[i] - reach), y2: Y(one.y[i] + reach), stroke: one.colour, "stroke-width": 1.2 }));
      svg.append(make("circle", { cx: X(x), cy: Y(one.y[i]), r: 3.4, fill: one.colour }));
    });
  } else if (one.kind === "star") {
    one.x.forEach((x, i) => {
      const points = [...Array(10).keys()].map((k) => {
        const reach = k % 2 ? 4 : 9.5, angle = (k * Math.PI) / 5 - Math.PI / 2;
        return `${X(x) + reach * Math.cos(angle)},${Y(one.y[i]) + reach * Math.sin(angle)}`;
      });
      svg.append(make("path", { d: `M${points.join("L")}Z`, fill: one.colour, stroke: "var(--card)", "stroke-width": 1.2 }));
    });
  } else {
    let path = "", pen = "M";
    one.x.forEach((x, i) => {
      if (one.y[i] === null) { pen = "M"; return; }
      path += `${pen}${X(x).toFixed(1)},${Y(one.y[i]).toFixed(1)}`;
      pen = "L";
    });
    svg.append(make("path", { d: path, fill: "none", stroke: one.colour, "stroke-width": one.width || (small ? 1.4 : 2), "stroke-linejoin": "round" }));
  }
}

function legend(host, series) {
  const row = make("div", { class: "legend" });
  for (const one of series) {
    const item = make("span", {}, one.name);
    item.prepend(one.kind === "star" ? make("b", { style: `color:${one.colour}` }, "★") : make("i", { style: `background:${one.colour}` }));
    row.append(item);
  }
  host.append(row);
}
