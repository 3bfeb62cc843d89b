// Where the time of each role goes: shares of the whole run, how they change, and a window of single spans.
const COLOURS = {
  "environment step": "#2f9e5b", inference: "#2b7fc3", update: "#d9722b", sampling: "#8e5bb5", recording: "#1aa3a3",
  weights: "#d65fa0", sending: "#b8932a", waiting: "#9aa5b4", "rows, snapshots": "#6d6f3f", checkpoint: "#a8557a", evaluation: "#6657c9",
  writing: "#a0603c", "runs the roles": "#b9c4d3", asking: "#c9b458", replay: "#7b5aa6", other: "#7f8894", idle: "var(--idle)",
};
const colourOf = (phase) => COLOURS[phase] || COLOURS.other;
const percent = (share) => (share >= 0.0995 ? Math.round(100 * share) : (100 * share).toFixed(1)) + " %";

function times() {
  const t = data.timeline;
  if (!t || !t.roles.length) { by("time-words").textContent = "This run has kept no timeline."; by("window-title").remove(); return; }
  by("time-words").textContent = `Of ${number(t.seconds)} s: the bar is the whole run, the band below it how that changed from beginning to end. ` +
    `How a role's busy time divides into phases is measured in about an eighth of it.`;
  const phases = [...new Set(t.roles.flatMap((role) => Object.keys(role.total)))];
  for (const phase of [...phases, "idle"]) {
    const item = make("span", {}, phase);
    item.prepend(make("i", { style: `background:${colourOf(phase)}${phase === "idle" ? ";border:1px solid var(--quiet)" : ""}` }));
    by("phases").append(item);
  }
  for (const role of t.roles) by("shares").append(share(role, t.seconds));
  spans(t);
}

function share(role, seconds) {
  const row = make("div", { class: "share" }), name = make("span", {}, role.role), right = make("div"), bar = make("div", { class: "bar" });
  const idle = Math.max(0, 1 - Object.values(role.total).reduce((a, b) => a + b, 0));
  name.append(make("small", {}, `at work ${percent(Math.max(0, 1 - idle - (role.total.waiting || 0)))}`));
  for (const [phase, part] of [...Object.entries(role.total), ["idle", idle]]) {
    if (part < 0.0005) continue;
    const piece = make("div", { style: `width:${100 * part}%;background:${colourOf(phase)}` }, part > 0.07 ? (phase === "idle" ? "idle " : "") + percent(part) : "");
    if (phase === "idle") piece.className = "idle";
    if (phase === "runs the roles") piece.style.color = "#3b4657";
    piece.addEventListener("mousemove", (event) => say(event, `${role.role}: ${phase}\n${percent(part)}, ${number(part * seconds)} s`));
    piece.addEventListener("mouseleave", hush);
    bar.append(piece);
  }
  right.append(bar, strip(role, seconds));
  row.append(name, right);
  return row;
}

function strip(role, seconds) {
  const host = make("div", { class: "strip" }), names = Object.keys(role.columns), count = names.length ? role.columns[names[0]].length : 0;
  const svg = make("svg", { viewBox: `0 0 ${count} 26`, preserveAspectRatio: "none", height: 26, role: "img", "aria-label": `${role.role} over the run` });
  const base = Array(count).fill(0);
  for (const name of names) {
    let path = "";
    role.columns[name].forEach((part, i) => {
      if (part > 0.002) path += `M${i},${(26 * (1 - base[i])).toFixed(2)}h1v${(-26 * part).toFixed(2)}h-1z`;
      base[i] += part;
    });
    if (path) svg.append(make("path", { d: path, fill: colourOf(name), "shape-rendering": "crispEdges" }));
  }
  svg.addEventListener("mousemove", (event) => {
    const box = svg.getBoundingClientRect(), i = Math.max(0, Math.min(count - 1, Math.floor(((event.clientX - box.left) / box.width) * count)));
    const there = names.filter((name) => role.columns[name][i] > 0.004).map((name) => `${name}  ${percent(role.columns[name][i])}`);
    say(event, `${role.role}, ${number((seconds * (i + 0.5)) / count)} s\n${there.join("\n") || "idle"}`);
  });
  svg.addEventListener("mouseleave", hush);
  host.append(svg);
  return host;
}

function spans(t) {
  const roles = t.roles.filter((role) => role.windows.length);
  const starts = [...new Set(roles.flatMap((role) => role.windows.map((window) => window.at)))].sort((a, b) => a - b);
  if (!starts.length) { by("window-title").remove(); return; }
  by("window-title").textContent = "Step by step";
  const pick = make("div", { class: "pick" }), host = make("div"), zoom = make("input", { type: "range", min: 0, max: 100, value: 0, "aria-label": "zoom" });
  const from = make("input", { type: "range", min: 0, max: 1000, value: 0, "aria-label": "from" });
  const there = (start) => roles.filter((role) => role.windows.some((window) => window.at === start)).length;
  let chosen = starts.reduce((best, start) => (there(start) >= there(best) ? start : best), starts[0]);
  pick.append(make("span", {}, "around"));
  for (const start of starts) {
    const one = make("button", { type: "button" }, `${number(start)} s`);
    one.addEventListener("click", () => { chosen = start; draw(); });
    pick.append(one);
  }
  pick.append(make("span", {}, "zoom"), zoom, make("span", {}, "from"), from);
  for (const one of [zoom, from]) one.addEventListener("input", () => draw());
  by("window").append(pick, host);
  function draw() {
    [...pick.querySelectorAll("button")].forEach((one, i) => one.classList.toggle("on", starts[i] === chosen));
    const shown = roles.map((role) => [role, role.windows.find((window) => window.at === chosen)]).filter(([, window]) => window);
    const earliest = Math.min(...shown.map(([, window]) => window.spans[0][1]));
    const whole = Math.max(...shown.map(([, window]) => window.spans[window.spans.length - 1][2])) - earliest;
    const first = Math.min(...shown.map(([, window]) => window.spans.slice(0, 12).reduce((a, s) => Math.max(a, s[2]), 0) - window.spans[0][1]).filter((one) => one > 0), whole);
    const length = whole * (Math.min(1, first / whole) ** (zoom.value / 100));
    const begin = earliest + (whole - length) * (from.value / 1000);
    const width = host.clientWidth || 800, left = 132, height = shown.length * 28 + 24;
    const X = (s) => left + ((s - begin) / length) * (width - left);
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": "spans" });
    for (const at of ticks(0, length * 1e3, Math.floor(width / 140))) {
      const x = X(begin + at / 1e3);
      svg.append(make("line", { class: "gridline", x1: x, x2: x, y1: 0, y2: height - 20 }), make("text", { x, y: height - 5, "text-anchor": x > width - 30 ? "end" : "middle" }, number(at + (begin - earliest) * 1e3) + " ms"));
    }
    shown.forEach(([role, window], row) => {
      svg.append(make("text", { x: left - 10, y: row * 28 + 18, "text-anchor": "end", style: "font-size:13px" }, role.role));
      for (const [phase, start, end] of window.spans) {
        if (start > begin + length || end < begin) continue;
        const x = Math.max(X(start), left), right = Math.min(X(end), width);
        const block = make("rect", { x, y: row * 28 + 3, width: Math.max(right - x - (right - x > 3 ? 0.6 : 0), 0.4), height: 21, fill: colourOf(phase), rx: right - x > 6 ? 2 : 0 });
        block.addEventListener("mousemove", (event) => say(event, `${role.role}: ${phase}\n${number((end - start) * 1e3)} ms`));
        block.addEventListener("mouseleave", hush);
        svg.append(block);
      }
    });
    host.replaceChildren(svg);
  }
  draw();
  new ResizeObserver(draw).observe(by("window"));
}

// -- the configuration
function settings() {
  for (const [group, rows] of data.config) {
    const table = make("table");
    table.append(make("caption", {}, group));
    for (const [key, value, changed] of rows) {
      const row = make("tr"), cell = make("td");
      cell.append(changed ? make("b", {}, value) : document.createTextNode(value));
      row.append(make("td", {}, key), cell);
      table.append(row);
    }
    by("config").append(table);
  }
}

times();
settings();
