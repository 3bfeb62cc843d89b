// The sections of the report, from the data that lies in the page.
const data = JSON.parse(document.getElementById("data").textContent);
const by = (id) => document.getElementById(id);

// -- light and dark: as the reader's system has it, until the button is pressed
const system = matchMedia("(prefers-color-scheme: dark)");
const wanted = new URLSearchParams(location.search).get("theme");
let theme = wanted || (system.matches ? "dark" : "light");
const dress = () => { document.documentElement.dataset.theme = theme; };
by("theme").addEventListener("click", () => { theme = theme === "dark" ? "light" : "dark"; dress(); });
system.addEventListener("change", (event) => { theme = event.matches ? "dark" : "light"; dress(); });
dress();

by("subtitle").textContent = data.subtitle;
for (const [label, value, more] of data.facts) {
  const fact = make("div", { class: "fact" });
  fact.append(make("span", {}, label), make("b", {}, value), make("span", {}, more));
  by("facts").append(fact);
}

// -- the curve, and every other column small
function curves() {
  const c = data.curve;
  const series = [
    { name: "training episodes", x: c.x, y: c.raw, kind: "dots", colour: "var(--faint)" },
    { name: "training, smoothed", x: c.x, y: c.smooth, colour: "var(--blue)" },
    { name: "evaluation ± std", x: c.evaluation.x, y: c.evaluation.y, spread: c.evaluation.std, kind: "bars", colour: "var(--orange)" },
    { name: "best", x: c.best.x, y: c.best.y, kind: "star", colour: "var(--green)" },
  ].filter((one) => one.x.length);
  if (!series.length) { by("curve").textContent = "No episode has ended yet."; return; }
  chart(by("curve"), { series, height: 340, label: "episode return over environment steps", xlabel: "environment steps" });
  legend(by("curve-section"), series);
  by("curve-section").insertBefore(by("curve-section").lastChild, by("others"));
  for (const one of data.others) {
    const box = make("div"), host = make("div", { class: "chart" });
    box.append(make("h3", {}, one.name.replaceAll("_", " ")), host);
    by("others").append(box);
    chart(host, { series: [{ name: one.name.replaceAll("_", " "), x: one.x, y: one.y, colour: "var(--blue)" }], height: 120, small: true, label: one.name });
  }
}

// -- the episode
const NEAR = 120; // steps that are drawn around the one that is shown

function episode() {
  const e = data.episode;
  if (!e || !e.actions.length) { by("episode-words").textContent = data.episode_note || "No episode was recorded."; return; }
  const steps = e.actions.length, frames = Object.keys(e.frames).map(Number).sort((a, b) => a - b), told = e.told;
  const how = { terminated: "until the environment ended it", truncated: "until its time was over", cut: "and was cut there" }[e.ended];
  by("episode-words").textContent = `The ${data.which} agent without exploration: ${steps} steps, return ${number(e.return, 4)}, ${how}. ` +
    `Keys: ← and → step, space plays.${e.note ? " (" + e.note[0].toUpperCase() + e.note.slice(1) + ".)" : ""}`;
  const stage = make("div", { class: frames.length ? "stage" : "stage bare" }), side = make("div"), screen = make("div");
  const image = make("img", { alt: "the environment at this step" });
  if (frames.length) {
    const picture = make("div", { class: "picture" });
    if (e.width < 200) image.classList.add("coarse");
    picture.append(image);
    screen.append(picture);
  }
  const controls = make("div", { class: "controls" });
  const button = (text, title, act) => {
    const one = make("button", { type: "button", title, "aria-label": title }, text);
    one.addEventListener("click", act);
    controls.append(one);
    return one;
  };
  let at = 0, timer = null;
  button("«", "first step", () => go(0));
  button("‹", "one step back", () => go(at - 1));
  const play = button("▶", "play", () => toggle());
  button("›", "one step on", () => go(at + 1));
  button("»", "last step", () => go(steps));
  const slider = make("input", { type: "range", min: 0, max: steps, value: 0, "aria-label": "step" });
  slider.addEventListener("input", () => go(+slider.value));
  controls.append(slider);
  const now = make("div", { class: "now" }), choices = make("div", { class: "choices" }), numbers = make("div", { class: "numbers" });
  const heading = make("h3"), seen = make("h3", {}, "observation"), lines = make("div");
  const scale = make("p", { class: "scale" });
  side.append(now, heading, choices, scale, seen, numbers);
  (frames.length ? screen : side).append(controls);
  stage.append(...(frames.length ? [screen, side] : [side]));
  by("episode").append(stage, lines);
  const totals = [0];
  e.rewards.forEach((reward) => totals.push(totals[totals.length - 1] + reward));
  const kind = ["probabilities", "q", "mean"].find((name) => name in told);
  heading.textContent = { probabilities: "probability of each action", q: "Q, what each action is expected to bring", mean: "the numbers of the action" }[kind] || "action";
  const compared = (kind ? told[kind] : e.actions).flat().filter((one) => one !== null), written = alike(compared);
  const range = kind === "probabilities" ? [0, 1] : spanOf(compared);
  scale.hidden = kind === "probabilities" || !(kind || Array.isArray(e.actions[0]));
  scale.textContent = `bars reach from ${written(range[0])} to ${written(range[1])}`;

  // From zero where that leaves the bars more than half of their length; else close around all there is.
  function spanOf(values) {
    const low = Math.min(...values), high = Math.max(...values), room = (high - low) * 0.08 || 1;
    return [low > 0 && low < high / 2 ? 0 : low - room, high < 0 && high > low / 2 ? 0 : high + room];
  }
  function rows(t) {
    const action = e.actions[t], several = Array.isArray(action);
    const values = kind ? told[kind][t] : several ? action : null;
    if (values === null) { choices.replaceChildren(make("span", {}, "chosen"), make("span", { class: "chosen" }, String(action)), make("span")); return; }
    let offset = 0;
    const groups = several && kind === "probabilities" ? action.map((one) => { const size = e.names.filter((n) => n.startsWith(offset + ": ")).length; offset += 1; return [one, size]; }) : null;
    const flags = groups ? groups.flatMap(([one, size]) => [...Array(size).keys()].map((i) => i === one)) : null;
    choices.replaceChildren(...values.flatMap((value, i) => {
      const chosen = kind === "mean" || !kind ? true : flags ? flags[i] : e.names[i] === String(action);
      const meter = make("div", { class: chosen ? "meter chosen" : "meter" }), fill = make("div");
      const zero = range[0] < 0 && range[1] >= 0 && kind !== "probabilities" ? (0 - range[0]) / (range[1] - range[0]) : 0;
      const place = value === null ? zero : (value - range[0]) / (range[1] - range[0]);
      fill.style.left = 100 * Math.min(zero, place) + "%";
      fill.style.width = Math.max(0.6, 100 * Math.abs(place - zero)) + "%";
      meter.append(fill);
      const name = kind === "mean" || !kind ? `number ${i}` : `action ${e.names[i] ?? i}`;
      const spread = kind === "mean" && told.std ? " ± " + written(told.std[t][i]) : "";
      const text = kind === "probabilities" ? (100 * value).toFixed(1) + " %" : value === null ? "not allowed" : written(value) + spread;
      return [make("span", { class: chosen ? "chosen" : "" }, name), meter, make("code", {}, text)];
    }));
  }
  function figure(label, value) {
    const box = make("div");
    box.append(make("span", {}, label), make("b", {}, value));
    return box;
  }
  function go(to) {
    at = Math.max(0, Math.min(steps, to));
    slider.value = at;
    const over = at === steps, t = Math.min(at, steps - 1);
    if (frames.length) image.src = e.frames[frames[[...frames].filter((f) => f <= at).length - 1]];
    const action = Array.isArray(e.actions[t]) ? e.actions[t].map((one) => number(one)).join(", ") : number(e.actions[t]);
    now.replaceChildren(
      figure("step", `${at} / ${steps}`), figure("action", over ? "–" : action), figure("reward", over ? "–" : number(e.rewards[t])),
      figure("return so far", number(totals[at], 4)), ...(told.value ? [figure("value", number(told.value[t], 4))] : []));
    rows(t);
    const shown = e.observations[t] || [];
    seen.hidden = !shown.length;
    numbers.replaceChildren(...shown.map((one) => make("code", {}, number(one))));
    lines.querySelectorAll(".chart").forEach((host) => (host.near ? host.draw() : host.place && host.place(at)));
    if (over && timer) toggle();
  }
  function toggle() {
    if (timer) { clearInterval(timer); timer = null; } else {
      if (at === steps) go(0);
      timer = setInterval(() => go(at + 1), Math.max(33, Math.min(400, 12000 / steps)));
    }
    play.textContent = timer ? "❚❚" : "▶";
    play.classList.toggle("on", Boolean(timer));
  }
  const colours = ["var(--blue)", "var(--orange)", "var(--green)", "#8e5bb5", "#c33c54", "#1aa3a3", "#7a6a3a", "#d65fa0"];
  const x = [...Array(steps).keys()];
  const parts = [];
  if (kind && told[kind][0].length <= 8) {
    const what = { probabilities: "probability of", q: "Q of", mean: "number" }[kind];
    parts.push([kind === "mean" ? "the action over the episode" : `${what} each action over the episode`, told[kind][0].map((_, i) => ({ name: kind === "mean" ? `number ${i}` : `action ${e.names[i] ?? i}`, x, y: told[kind].map((row) => row[i]), colour: colours[i % colours.length], width: 1.5 }))]);
  }
  if (told.value && kind !== "q") parts.push(["value over the episode", [{ name: "value", x, y: told.value, colour: "var(--green)", width: 1.6 }]]);
  parts.push(["reward of each step", [{ name: "reward", x, y: e.rewards, colour: "var(--quiet)", width: 1.4 }]]);
  // Where actions alternate, a long episode is a blur: of these only what is near the step is drawn.
  const near = () => {
    const first = Math.max(0, Math.min(at - NEAR / 2, steps - NEAR));
    return [first, Math.min(first + NEAR, steps)];
  };
  for (const [name, series] of parts) {
    const host = make("div", { class: "chart" }), long = series.length > 1 && steps > 1.5 * NEAR;
    host.near = long;
    lines.append(make("h3", {}, long ? name.replace("over the episode", "around this step") : name), host);
    if (series.length > 1) legend(lines, series);
    chart(host, { series, height: 130, small: true, label: name, xlabel: "", cursor: () => at, onseek: go, xs: long ? near : () => [0, steps] });
  }
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("select, input")) return;
    if (event.key === "ArrowRight") go(at + 1); else if (event.key === "ArrowLeft") go(at - 1);
    else if (event.key === " " && !event.target.matches("button")) { event.preventDefault(); toggle(); }
  });
  const asked = /step=(\d+)/.exec(location.hash);
  go(asked ? +asked[1] : 0);
}

curves();
episode();
