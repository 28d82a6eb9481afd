// The bird's-eye replay of the worst runs: choose a run, drag the slider, or play. Needs nothing from outside.
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const $ = (id) => document.getElementById(id);
  const runs = JSON.parse($("replays").textContent), COLOURS = JSON.parse($("replay-colours").textContent);
  const view = $("replay-view"), strip = $("replay-strip"), slider = $("replay-time");
  const choice = $("replay-run"), play = $("replay-play"), said = $("replay-said"), why = $("replay-why");
  const WIDTH = 600, HEIGHT = 80;
  let run, layers, cursor, timer = null;

  const make = (parent, name, attributes) => {
    const element = parent.appendChild(document.createElementNS(SVG, name));
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const path = (points) => points.map(([x, y]) => `${x.toFixed(3)},${y.toFixed(3)}`).join(" ");
  const placed = (corners, [x0, y0, yaw]) => {
    const c = Math.cos(yaw), s = Math.sin(yaw);
    return corners.map(([x, y]) => [x0 + c * x - s * y, y0 + s * x + c * y]);
  };
  // An outline is x, y, length, width, yaw; without a yaw it is round.
  const draw = (parent, [x, y, length, width, yaw], look) => {
    if (yaw === null) return make(parent, "ellipse", { cx: x, cy: y, rx: length / 2, ry: width / 2, ...look });
    const [l, w] = [length / 2, width / 2];
    const corners = placed([[l, w], [-l, w], [-l, -w], [l, -w]], [x, y, yaw]);
    return make(parent, "polygon", { points: path(corners), ...look });
  };

  // The robot's way, some way ahead, and what is beside it.
  const bounds = () => {
    const xs = run.moments.map((m) => m.pose[0]), ys = run.moments.map((m) => m.pose[1]);
    const [left, right] = [Math.min(...xs) - 2, Math.max(...xs) + 6];
    const middle = (Math.min(...ys) + Math.max(...ys)) / 2;
    const height = Math.max(Math.max(...ys) - Math.min(...ys) + 4, 0.45 * (right - left));
    return { left, low: middle - height / 2, width: right - left, height };
  };

  const choose = () => {
    run = runs[Number(choice.value)];
    const b = bounds();
    view.replaceChildren();
    view.setAttribute("viewBox", `${b.left} ${-(b.low + b.height)} ${b.width} ${b.height}`);
    const world = make(view, "g", { transform: "scale(1,-1)" });
    for (let x = Math.ceil(b.left); x <= b.left + b.width; x += 1)
      make(world, "line", { x1: x, x2: x, y1: b.low, y2: b.low + b.height, stroke: "#e4e8ec", "stroke-width": x % 5 ? 0.01 : 0.04 });
    for (let y = Math.ceil(b.low); y <= b.low + b.height; y += 1)
      make(world, "line", { y1: y, y2: y, x1: b.left, x2: b.left + b.width, stroke: "#e4e8ec", "stroke-width": y % 5 ? 0.01 : 0.04 });
    for (const outline of run.standing) draw(world, outline, { fill: "#c5ccd4", stroke: "#7a828c", "stroke-width": 0.02 });
    make(world, "polyline", { points: path(run.moments.map((m) => m.pose)), fill: "none", stroke: "#0072b2", "stroke-width": 0.05, "stroke-dasharray": "0.2 0.15" });
    layers = { zones: make(world, "g", {}), movers: make(world, "g", {}), tracks: make(world, "g", {}) };
    layers.ego = make(world, "polygon", { id: "replay-ego", "stroke-width": 0.05, stroke: "#1b1f24" });
    drawStrip();
    slider.max = run.moments.length - 1;
    slider.value = 0;
    show();
  };

  // Speed and limit over time, with a cursor.
  const along = (i) => {
    const [first, last] = [run.moments[0].t_s, run.moments[run.moments.length - 1].t_s];
    return (WIDTH * (run.moments[i].t_s - first)) / (last - first);
  };
  const drawStrip = () => {
    strip.replaceChildren();
    const top = Math.max(0.1, ...run.moments.flatMap((m) => [Math.abs(m.speed_mps), m.limit_mps ?? 0]));
    const line = (value, look) => {
      const points = run.moments.map((m, i) => [along(i), value(m)]).filter(([, v]) => v !== null);
      const drawn = path(points.map(([x, v]) => [x, HEIGHT - 3 - ((HEIGHT - 8) * v) / top]));
      make(strip, "polyline", { points: drawn, fill: "none", "vector-effect": "non-scaling-stroke", ...look });
    };
    line((m) => m.limit_mps, { stroke: "#d55e00", "stroke-width": 1.4, "stroke-dasharray": "5 3" });
    line((m) => Math.abs(m.speed_mps), { stroke: "#0072b2", "stroke-width": 2 });
    cursor = make(strip, "line", { y1: 0, y2: HEIGHT, stroke: "#1b1f24", "vector-effect": "non-scaling-stroke" });
  };

  const show = () => {
    const i = Number(slider.value), moment = run.moments[i];
    for (const layer of [layers.zones, layers.movers, layers.tracks]) layer.replaceChildren();
    for (const zone of run.zones)
      make(layers.zones, "polygon", { points: path(placed(zone, moment.pose)), fill: "#e69f0018", stroke: "#e69f00", "stroke-width": 0.03, "stroke-dasharray": "0.1 0.1" });
    for (const outline of moment.moving)
      draw(layers.movers, outline, { class: "actor", fill: "#b3307a88", stroke: "#b3307a", "stroke-width": 0.04 });
    for (const [name, ...outline] of moment.tracks)
      make(draw(layers.tracks, outline, { class: "track", fill: "none", stroke: "#0072b2", "stroke-width": 0.03, "stroke-dasharray": "0.08 0.06" }), "title", {}).textContent = name;
    layers.ego.setAttribute("points", path(placed(run.footprint, moment.pose)));
    layers.ego.setAttribute("fill", COLOURS[moment.action] || "#1b1f24");
    cursor.setAttribute("x1", along(i));
    cursor.setAttribute("x2", along(i));
    const allowed = moment.limit_mps === null ? "none" : `${moment.limit_mps.toFixed(2)} m/s`;
    said.textContent = `${moment.t_s.toFixed(2)} s · ${moment.speed_mps.toFixed(2)} m/s · limit ${allowed} · ${moment.action.replaceAll("_", " ")}`;
    why.textContent = moment.why;
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
    const began = performance.now(), from_s = run.moments[Number(slider.value)].t_s;
    timer = setInterval(() => {
      const t_s = from_s + (performance.now() - began) / 1000;
      const next = run.moments.findIndex((m) => m.t_s >= t_s);
      slider.value = next < 0 ? slider.max : next;
      show();
      if (next < 0) stop();
    }, 40);
  });
  slider.addEventListener("input", () => { if (timer !== null) stop(); show(); });
  choice.addEventListener("change", () => { if (timer !== null) stop(); choose(); });
  choose();
})();
