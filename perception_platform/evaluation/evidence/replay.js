// The bird's-eye replay of the worst runs: choose a run, drag the slider, or play. Needs nothing from outside.
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const runs = JSON.parse(document.getElementById("replays").textContent);
  const $ = (id) => document.getElementById(id);
  const view = $("replay-view"), strip = $("replay-strip"), slider = $("replay-time");
  const choice = $("replay-run"), play = $("replay-play"), said = $("replay-said");
  const COLOURS = JSON.parse($("replay-colours").textContent);
  let run, shapes, cursor, timer = null;

  const make = (parent, name, attributes) => {
    const element = parent.appendChild(document.createElementNS(SVG, name));
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const turned = ([x, y], pose) => {
    const c = Math.cos(pose[2]), s = Math.sin(pose[2]);
    return [pose[0] + c * x - s * y, pose[1] + s * x + c * y];
  };
  const outline = (name, pose) => run.footprints[name].map((corner) => turned(corner, pose));
  const path = (points) => points.map(([x, y]) => `${x.toFixed(3)},${y.toFixed(3)}`).join(" ");

  // The robot's way, and what is within 8 m of it.
  const bounds = () => {
    const points = run.ego.flatMap((pose) => outline("ego", pose));
    let [left, right] = [Math.min(...points.map((p) => p[0])), Math.max(...points.map((p) => p[0]))];
    let [low, high] = [Math.min(...points.map((p) => p[1])), Math.max(...points.map((p) => p[1]))];
    [left, right, low, high] = [left - 3, right + 8, low - 5, high + 5];
    return { left, low, width: right - left, height: high - low };
  };

  const choose = () => {
    run = runs[Number(choice.value)];
    view.replaceChildren();
    const b = bounds();
    view.setAttribute("viewBox", `${b.left} ${-(b.low + b.height)} ${b.width} ${b.height}`);
    const world = make(view, "g", { transform: "scale(1,-1)" });
    for (let x = Math.ceil(b.left); x <= b.left + b.width; x += 1)
      make(world, "line", { x1: x, x2: x, y1: b.low, y2: b.low + b.height, stroke: "#e4e8ec", "stroke-width": x % 5 ? 0.01 : 0.04 });
    for (let y = Math.ceil(b.low); y <= b.low + b.height; y += 1)
      make(world, "line", { y1: y, y2: y, x1: b.left, x2: b.left + b.width, stroke: "#e4e8ec", "stroke-width": y % 5 ? 0.01 : 0.04 });
    make(world, "polyline", { points: path(run.ego), fill: "none", stroke: "#0072b2", "stroke-width": 0.05, "stroke-dasharray": "0.2 0.15" });
    shapes = {};
    for (const name of Object.keys(run.actors)) {
      shapes[name] = make(world, "polygon", { class: "actor", fill: "#b3307a55", stroke: "#b3307a", "stroke-width": 0.05 });
      make(shapes[name], "title", {}).textContent = name;
    }
    shapes.ego = make(world, "polygon", { id: "replay-ego", "stroke-width": 0.05, stroke: "#1b1f24" });
    drawStrip();
    slider.max = run.t_s.length - 1;
    slider.value = 0;
    show();
  };

  // Speed and limit over time, with a cursor.
  const drawStrip = () => {
    strip.replaceChildren();
    const end = run.t_s[run.t_s.length - 1] - run.t_s[0] || 1;
    const top = Math.max(0.1, ...run.ego.map((pose) => Math.abs(pose[3])), ...run.limit_mps.filter((v) => v !== null));
    const at = (i, v) => [(600 * (run.t_s[i] - run.t_s[0])) / end, 78 - (70 * v) / top];
    const limits = run.limit_mps.map((v, i) => (v === null ? null : at(i, v))).filter((p) => p);
    make(strip, "polyline", { points: path(limits), fill: "none", stroke: "#d55e00", "stroke-width": 1.4, "stroke-dasharray": "5 3" });
    make(strip, "polyline", { points: path(run.ego.map((pose, i) => at(i, Math.abs(pose[3])))), fill: "none", stroke: "#0072b2", "stroke-width": 2 });
    cursor = make(strip, "line", { y1: 0, y2: 80, stroke: "#1b1f24", "stroke-width": 1.2 });
  };

  const show = () => {
    const i = Number(slider.value), ego = run.ego[i], limit = run.limit_mps[i];
    shapes.ego.setAttribute("points", path(outline("ego", ego)));
    shapes.ego.setAttribute("fill", COLOURS[run.action[i]] || "#1b1f24");
    for (const [name, poses] of Object.entries(run.actors))
      shapes[name].setAttribute("points", poses[i] ? path(outline(name, poses[i])) : "");
    const end = run.t_s[run.t_s.length - 1] - run.t_s[0] || 1;
    const x = (600 * (run.t_s[i] - run.t_s[0])) / end;
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    const allowed = limit === null ? "none" : `${limit.toFixed(2)} m/s`;
    said.textContent = `${run.t_s[i].toFixed(2)} s · ${ego[3].toFixed(2)} m/s · limit ${allowed} · ${run.action[i].replaceAll("_", " ")}`;
    slider.setAttribute("aria-valuetext", said.textContent);
  };

  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "play";
  };
  play.addEventListener("click", () => {
    if (timer !== null) return stop();
    if (Number(slider.value) === Number(slider.max)) slider.value = 0;
    play.textContent = "pause";
    const began = performance.now(), from = run.t_s[Number(slider.value)];
    timer = setInterval(() => {
      const t = from + (performance.now() - began) / 1000;
      const next = run.t_s.findIndex((value) => value >= t);
      slider.value = next < 0 ? slider.max : next;
      show();
      if (next < 0) stop();
    }, 40);
  });
  slider.addEventListener("input", () => { if (timer !== null) stop(); show(); });
  choice.addEventListener("change", () => { if (timer !== null) stop(); choose(); });
  choose();
})();
