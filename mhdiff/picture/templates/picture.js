"use strict";
(() => {
const data = JSON.parse(document.getElementById("graph").textContent);
const { nodes, edges, kinds, modalities, polarities, signs, dashes, wide: WIDE, high: HIGH, badge: BADGE } = data;
const $ = (id) => document.getElementById(id);
const canvas = $("canvas"), ctx = canvas.getContext("2d"), map = $("map"), tip = $("tip");
const FROM = 0, TO = 1, KIND = 2, POLARITY = 3, MODALITY = 4, WEIGHT = 5;
const READABLE = 0.6;   // at smaller scales a box holds no text, and labels stand where there is room
const LARGEST = 2.5, LABEL = 11, FAMILY = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif";
const still = matchMedia("(prefers-reduced-motion: reduce)");
const isEvidence = (n) => n.kind === "concept" && n.evidence.length > 0;
const isRelation = (e) => kinds[e[KIND]] !== "in" && kinds[e[KIND]] !== "evidences";
const make = (tag, text, cls) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (cls) made.className = cls;
  return made;
};

// what leads where, by relations; evidence edges are read from the observation to the concept
const after = nodes.map(() => []), before = nodes.map(() => []);
edges.forEach((e, i) => {
  const back = !isRelation(e);
  after[back ? e[TO] : e[FROM]].push(i);
  before[back ? e[FROM] : e[TO]].push(i);
});
const start = (e) => (isRelation(e) ? e[FROM] : e[TO]);
const end = (e) => (isRelation(e) ? e[TO] : e[FROM]);

// ---- what is shown
const on = {
  modality: new Set(modalities.keys()), polarity: new Set(polarities.keys()),
  relation: new Set(kinds.keys()),
};
let shownNode = [], shownEdge = [];
function refilter() {
  nodes.forEach((n) => { n.marks = undefined; });
  shownNode = nodes.map((n) => n.kind !== "concept" && on.modality.has(modalities.indexOf(n.name)));
  shownEdge = edges.map(() => false);
  const queue = [];
  const reach = (i) => { if (!shownNode[i]) { shownNode[i] = true; queue.push(i); } };
  edges.forEach((e, i) => {
    if (kinds[e[KIND]] === "in") shownEdge[i] = shownNode[e[FROM]];
    if (e[POLARITY] < 0) return;
    shownEdge[i] = on.modality.has(e[MODALITY]) && on.polarity.has(e[POLARITY]);
    if (shownEdge[i]) reach(e[FROM]);
  });
  while (queue.length) for (const i of after[queue.pop()]) {
    const e = edges[i];
    if (isRelation(e) && on.relation.has(e[KIND])) reach(e[TO]);
  }
  edges.forEach((e, i) => {
    if (isRelation(e)) shownEdge[i] = on.relation.has(e[KIND]) && shownNode[e[FROM]] && shownNode[e[TO]];
  });
  const concepts = nodes.filter((n) => n.kind === "concept").length;
  const shown = nodes.filter((n, i) => n.kind === "concept" && shownNode[i]).length;
  const lines = edges.filter((e, i) => isRelation(e) && shownEdge[i]).length, all = edges.filter(isRelation).length;
  $("shown").textContent = `Shown: ${shown.toLocaleString("en")} of ${concepts.toLocaleString("en")} concepts, ` +
    `${lines.toLocaleString("en")} of ${all.toLocaleString("en")} relations`;
  if (chosen >= 0 && !shownNode[chosen]) choose(-1);
  overview = null; changes++; search(); light(); redraw();
}

// ---- colours follow the page
let colour = {};
function recolour() {
  const style = getComputedStyle(document.documentElement);
  colour = new Proxy({}, { get: (known, name) => known[name] ??= style.getPropertyValue(`--${name}`).trim() });
  overview = null; changes++; keys(); redraw();
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);

// ---- the view: screen = world * scale + shift
let scale = 1, shiftX = 0, shiftY = 0, wide = 0, high = 0, ratio = 1;
const box = nodes.reduce((b, n) => [Math.min(b[0], n.x), Math.min(b[1], n.y), Math.max(b[2], n.x + WIDE),
  Math.max(b[3], n.y + HIGH)], [Infinity, Infinity, -Infinity, -Infinity]);
const fitting = () => Math.min(LARGEST / 2, (wide - 48) / (box[2] - box[0]), (high - 48 - 40) / (box[3] - box[1]));
const smallest = () => Math.min(0.5, fitting() * 0.6);
function fit() {
  scale = fitting();
  shiftX = (wide - (box[0] + box[2]) * scale) / 2;
  shiftY = (high + 40 - (box[1] + box[3]) * scale) / 2;
  redraw();
}
// All of it where that can be read or where it is too much to read at once; else the beginning, at a size to read.
function begin() {
  const few = nodes.length <= 150 || wide < 640;
  if (fitting() >= READABLE || !few) return fit();
  scale = 0.85;
  const seenOnes = nodes.filter((n) => n.kind === "observation"), narrow = wide < 640 && seenOnes.length;
  shiftX = (narrow ? 8 : 16) - (narrow ? seenOnes[0].x : box[0]) * scale;
  const tall = (box[3] - box[1]) * scale + 88;
  shiftY = tall <= high ? (high + 40 - (box[1] + box[3]) * scale) / 2 : 64 - Math.min(...nodes.filter((n) => n.kind !== "concept" || isEvidence(n)).map((n) => n.y)) * scale;
  redraw();
}
function zoom(factor, x = wide / 2, y = high / 2) {
  const next = Math.max(smallest(), Math.min(LARGEST, scale * factor));
  shiftX = x - (x - shiftX) * next / scale;
  shiftY = y - (y - shiftY) * next / scale;
  scale = next;
  move();
}
let gliding = 0;
function centre(i, least = READABLE) {
  const n = nodes[i], to = Math.max(scale, least), [s, x, y] = [scale, shiftX, shiftY];
  const goX = wide / 2 - (n.x + WIDE / 2) * to, goY = high / 2 - (n.y + HIGH / 2) * to;
  cancelAnimationFrame(gliding);
  const began = performance.now();
  const step = (now) => {
    const t = still.matches ? 1 : Math.min(1, (now - began) / 200), k = t * (2 - t);
    [scale, shiftX, shiftY] = [s + (to - s) * k, x + (goX - x) * k, y + (goY - y) * k];
    if (t < 1) move(); else redraw();
    if (t < 1) gliding = requestAnimationFrame(step); else if (chosen === i && document.activeElement === canvas) tell(i);
  };
  step(began + (still.matches ? 200 : 0));
}
function resize() {
  const was = [wide, high];
  wide = canvas.clientWidth; high = canvas.clientHeight; ratio = devicePixelRatio || 1;
  canvas.width = Math.round(wide * ratio); canvas.height = Math.round(high * ratio);
  if (!was[0]) begin();
  redraw();
}

// ---- drawing
let waiting = false, overview = null, labels = [], first = true;
function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(); });
}
// Columns that stand side by side in one layer are passed between the rows, never behind a box.
function curve(path, e) {
  const a = nodes[start(e)], b = nodes[end(e)];
  let x1 = a.x + WIDE, y1 = a.y + HIGH / 2, x2 = b.x, y2 = b.y + HIGH / 2;
  path.moveTo(x1, y1);
  if (b.x <= a.x + WIDE) {  // within a column, or back: round the right side
    x2 = b.x + WIDE;
    const k = Math.max(x1, x2) + 34 + Math.min(60, Math.abs(y2 - y1) / 8);
    path.bezierCurveTo(k, y1, k, y2, x2, y2);
    return;
  }
  const same = a.left === b.left && a.left !== undefined;
  if (!same && a.right > x1 + 1) {
    path.bezierCurveTo(x1 + 9, y1, x1 + 3, a.y + HIGH + 6, x1 + 14, a.y + HIGH + 6);
    [x1, y1] = [a.right, a.y + HIGH + 6];
    path.lineTo(x1, y1);
  }
  const inner = !same && b.left < x2 - 1, [tx, ty] = inner ? [b.left, b.y - 6] : [x2, y2];
  const k = Math.min((tx - x1) / 2, 90);
  path.bezierCurveTo(x1 + k, y1, tx - k, ty, tx, ty);
  if (inner) { path.lineTo(x2 - 16, ty); path.bezierCurveTo(x2 - 5, ty, x2 - 12, y2, x2, y2); }
}
const styleOf = (e) => (e[POLARITY] >= 0 ? `p${e[POLARITY]}${e[WEIGHT] < 0.5 ? "-" : ""}` :
  kinds[e[KIND]] === "in" ? "in" : kinds[e[KIND]] === "is a" ? "isa" : "attribute");
function stroke(c, style) {
  const p = style[0] === "p" ? +style[1] : -1;
  c.strokeStyle = p >= 0 ? colour[`p-${polarities[p]}`] : style === "in" ? colour.muted : colour[style];
  const thick = p >= 0 ? (style.endsWith("-") ? 1.2 : 2.4) : style === "in" ? 2 : 1.3;
  c.lineWidth = thick / scale;
  c.setLineDash((p >= 0 ? dashes[p] : style === "attribute" && scale >= READABLE ? [5, 3] : []).map((d) => d / scale));
}
const reach = edges.map((e) => {  // left, top, right, bottom
  const a = nodes[start(e)], b = nodes[end(e)], back = b.x <= a.x + WIDE;
  return [back ? Math.min(a.x, b.x) + WIDE : a.x + WIDE, Math.min(a.y, b.y) - 6, back ? Math.max(a.x, b.x) + WIDE + 94 : b.x, Math.max(a.y, b.y) + HIGH + 6];
});
function grouped(which) {
  let count = 0;
  const found = new Map(), left = -shiftX / scale, top = -shiftY / scale, right = (wide - shiftX) / scale, bottom = (high - shiftY) / scale;
  edges.forEach((e, i) => {
    if (!shownEdge[i] || !which(i)) return;
    const r = reach[i];
    if (r[2] < left || r[0] > right || r[3] < top || r[1] > bottom) return;
    const style = styleOf(e);
    if (!found.has(style)) found.set(style, new Path2D());
    curve(found.get(style), e);
    count++;
  });
  return [found, count];
}
function arrow(c, e) {
  const a = nodes[start(e)], b = nodes[end(e)], back = b.x <= a.x + WIDE;
  const x = back ? b.x + WIDE : b.x, y = b.y + HIGH / 2, d = back ? 1 : -1;
  c.beginPath(); c.moveTo(x, y); c.lineTo(x + d * 9, y - 4.5); c.lineTo(x + d * 9, y + 4.5); c.closePath();
  const isa = kinds[e[KIND]] === "is a";  // hollow for is-a, as in class diagrams
  c.fillStyle = isa ? colour.ground : colour.attribute; c.strokeStyle = isa ? colour.isa : colour.attribute;
  c.lineWidth = 1.2; c.setLineDash([]); c.fill(); c.stroke();
}
let lit = null, litEdge = null;   // what the chosen or hovered node is connected to
function light() {
  const from = hovered >= 0 ? hovered : chosen;
  lit = litEdge = null;
  if (from < 0) return;
  lit = new Set([from]); litEdge = new Set();
  for (const [links, next] of [[after, end], [before, start]]) {
    const seen = new Set([from]), queue = [from];
    while (queue.length) for (const i of links[queue.pop()]) {
      if (!shownEdge[i]) continue;
      const j = next(edges[i]);
      litEdge.add(i); lit.add(j);
      if (!seen.has(j)) { seen.add(j); queue.push(j); }
    }
  }
}
const seen = (n) => n.x * scale + shiftX < wide && (n.x + WIDE) * scale + shiftX > 0 &&
  n.y * scale + shiftY < high && (n.y + HIGH) * scale + shiftY > 0;
const markedBy = (n) => n.marks ??= [...new Set(n.evidence.filter((e) => on.modality.has(modalities.indexOf(e.modality)))
  .map((e) => polarities.indexOf(e.polarity)).filter((p) => on.polarity.has(p)))].sort();

// Lines are drawn onto a layer of their own. While a view with many of them is moving the layer is moved with it, and
// drawn anew as soon as the view rests; what is chosen is drawn over it, so pointing at things costs little.
const layer = document.createElement("canvas"), lines = layer.getContext("2d");
const MANY = 400;
let drawnAs = "", drawnAt = [1, 0, 0], many = false, changes = 0, moving = false, rest = 0;
function move() {
  moving = true;
  clearTimeout(rest);
  rest = setTimeout(() => { moving = false; redraw(); }, 140);
  redraw();
}
const toView = (c) => c.setTransform(scale * ratio, 0, 0, scale * ratio, shiftX * ratio, shiftY * ratio);
function drawLines(readable) {
  const wanted = [scale, shiftX, shiftY, canvas.width, canvas.height, changes].join();
  if (wanted === drawnAs || (moving && many && drawnAs)) return;
  drawnAs = wanted; drawnAt = [scale, shiftX, shiftY];
  layer.width = canvas.width; layer.height = canvas.height;
  toView(lines);
  const [paths, count] = grouped(() => true);
  many = count > MANY;
  lines.globalAlpha = nodes.length > 300 && !readable ? 0.4 : 0.8;
  for (const [style, path] of paths) { stroke(lines, style); lines.stroke(path); }
  lines.globalAlpha = 1;
  if (readable) edges.forEach((e, i) => { if (shownEdge[i] && isRelation(e) && seen(nodes[e[TO]])) arrow(lines, e); });
}
function draw() {
  if (!wide) return;
  const readable = scale >= READABLE;
  drawLines(readable);
  ctx.setTransform(1, 0, 0, 1, 0, 0);
  ctx.globalAlpha = 1;
  ctx.fillStyle = colour.ground; ctx.fillRect(0, 0, canvas.width, canvas.height);
  const k = scale / drawnAt[0];
  ctx.globalAlpha = lit ? 0.2 : 1;
  ctx.drawImage(layer, (shiftX - drawnAt[1] * k) * ratio, (shiftY - drawnAt[2] * k) * ratio, layer.width * k, layer.height * k);
  ctx.globalAlpha = 1;
  toView(ctx);
  if (lit) {
    for (const [style, path] of grouped((i) => litEdge.has(i))[0]) { stroke(ctx, style); ctx.stroke(path); }
    if (readable) for (const i of litEdge) if (isRelation(edges[i]) && seen(nodes[edges[i][TO]])) arrow(ctx, edges[i]);
  }
  ctx.textBaseline = "middle";
  const quick = moving && many && !readable;
  nodes.forEach((n, i) => { if (shownNode[i] && seen(n)) { if (quick) quickNode(n, i); else drawNode(n, i, readable); } });
  ctx.globalAlpha = 1;
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  labels = [];
  if (readable) relationNames(); else smallLabels();
  drawMap();
  if (first) { first = false; performance.mark("drawn"); }
}
function quickNode(n, i) {
  const marks = n.kind === "concept" ? markedBy(n) : [];
  ctx.globalAlpha = lit && !lit.has(i) ? 0.28 : 1;
  ctx.fillStyle = marks.length ? colour[`p-${polarities[marks[0]]}`] : n.kind === "concept" ? (n.ancestor ? colour.border : colour.rim) : colour.ink;
  ctx.fillRect(n.x, n.y, WIDE, HIGH);
}
function outline(n, x, y, w, h) {
  ctx.beginPath();
  const round = n.kind === "modality" ? h / 2 : n.kind === "observation" ? 9 : n.ancestor ? 7 : 0;
  ctx.roundRect(x, y, w, h, Math.min(round, h / 2));
}
function drawNode(n, i, readable) {
  const faint = lit ? !lit.has(i) : matches && n.kind === "concept" && !matches.has(i);
  ctx.globalAlpha = faint ? 0.28 : 1;
  const marks = n.kind === "concept" ? markedBy(n) : [];
  const grow = readable ? 0 : Math.max(0, (4 / scale - HIGH) / 2);  // never thinner than four pixels
  outline(n, n.x - grow, n.y - grow, WIDE + 2 * grow, HIGH + 2 * grow);
  const strong = marks.length ? colour[`p-${polarities[marks[0]]}`] : null;
  ctx.fillStyle = n.kind === "modality" ? (n.absent ? colour.ground : colour.ink) : n.kind === "observation" ? colour.box :
    strong ? colour.ground : n.ancestor ? colour.box : colour.frame;
  ctx.fill();
  if (strong && !readable) afar(ctx, marks[0], n.x - grow, n.y - grow, WIDE + 2 * grow, HIGH + 2 * grow);
  ctx.strokeStyle = strong || (n.kind === "concept" ? (n.ancestor ? colour.border : colour.rim) : colour.ink);
  ctx.lineWidth = (strong ? 2 : 1.2) / Math.min(scale, 1);
  ctx.setLineDash(n.absent ? [5, 4] : strong && readable ? dashes[marks[0]] : []);
  ctx.stroke(); ctx.setLineDash([]);
  if (i === chosen || i === hovered || (matches && matches.has(i))) {
    const gap = 4 / Math.min(scale, 1) + grow;
    outline(n, n.x - gap, n.y - gap, WIDE + 2 * gap, HIGH + 2 * gap);
    ctx.strokeStyle = i === chosen ? colour.ink : colour.isa; ctx.lineWidth = (i === chosen ? 3 : 2) / Math.min(scale, 1); ctx.stroke();
  }
  if (readable) {
    let x = n.x + 8;
    for (const p of marks) { badge(ctx, p, x + 7, n.y + HIGH / 2, 7.5); x += BADGE; }
    ctx.fillStyle = n.kind === "modality" && !n.absent ? colour.ground : colour.ink;
    ctx.font = n.kind === "modality" ? `600 13px ${FAMILY}` : n.kind === "observation" ? `10.5px ${FAMILY}` : `12px ${FAMILY}`;
    ctx.textAlign = n.kind === "concept" ? "left" : "center";
    const middle = n.kind === "concept" ? x : n.x + WIDE / 2, step = 15;
    n.lines.forEach((line, k) => {
      if (n.kind === "modality" && k) { ctx.font = `10.5px ${FAMILY}`; ctx.fillStyle = colour.muted; }
      ctx.fillText(line, middle, n.y + HIGH / 2 + (k - (n.lines.length - 1) / 2) * step, WIDE - 12);
    });
  }
  ctx.globalAlpha = 1;
}
// Where no sign can be read, how a box is filled tells the polarity.
const FILLS = { present: [[0, 0, 1, 1]], absent: [], uncertain: [[0, 0, 0.5, 1]], family: [[0, 0, 0.25, 1], [0.75, 0, 0.25, 1]], historical: [[0, 0.5, 1, 0.5]] };
function afar(c, p, x, y, w, h) {
  c.fillStyle = colour[`p-${polarities[p]}`];
  for (const [fx, fy, fw, fh] of FILLS[polarities[p]] || []) c.fillRect(x + fx * w, y + fy * h, fw * w, fh * h);
}
function badge(c, p, x, y, r) {
  c.fillStyle = colour[`p-${polarities[p]}`];
  c.beginPath(); c.arc(x, y, r, 0, 7); c.fill();
  c.fillStyle = colour.ground; c.font = `700 ${r * 1.55}px ${FAMILY}`; c.textAlign = "center"; c.textBaseline = "middle";
  c.fillText(signs[p], x, y + r * 0.08);
}

// Labels of the size of the screen where boxes are too small for text: the more important ones, where there is room.
let ranks = null;
const widths = new Map();
function smallLabels() {
  ranks ??= nodes.map((n, i) => [i, n.kind === "modality" ? 0 : n.kind === "observation" ? 9 : isEvidence(n) ? 1 :
    3 - Math.min(1, before[i].length / 50)]).sort((a, b) => a[1] - b[1] || a[0] - b[0]).map(([i]) => i);
  ctx.font = `${LABEL}px ${FAMILY}`; ctx.textAlign = "left"; ctx.textBaseline = "middle";
  const cell = 64, taken = new Map();
  const urgent = [hovered, chosen, ...(matches ? [...matches].slice(0, 60) : [])].filter((i) => i >= 0);
  const room = (r) => {
    const hit = [];
    for (let gx = Math.floor(r[0] / cell); gx <= Math.floor(r[2] / cell); gx++)
      for (let gy = Math.floor(r[1] / cell); gy <= Math.floor(r[3] / cell); gy++) {
        const key = gx * 10007 + gy, here = taken.get(key) || [];
        for (const o of here) if (r[0] < o[2] && r[2] > o[0] && r[1] < o[3] && r[3] > o[1]) return null;
        hit.push(key);
      }
    for (const key of hit) { if (!taken.has(key)) taken.set(key, []); taken.get(key).push(r); }
    return r;
  };
  const done = new Set(), most = Math.max(12, Math.round(wide * high / 14000));
  let spoken = 0;  // labels of concepts; evidence may take two thirds of them
  for (const i of [...urgent, ...ranks]) {
    const n = nodes[i];
    if (spoken >= (isEvidence(n) || urgent.includes(i) ? most * 0.65 : most)) continue;
    if (done.has(i) || !shownNode[i] || !seen(n) || n.kind === "observation") continue;
    if (lit && !lit.has(i)) continue;
    done.add(i);
    let text = n.name;
    if (text.length > 34) text = text.slice(0, 33) + "…";
    if (!widths.has(text)) widths.set(text, ctx.measureText(text).width);
    const w = widths.get(text), x = Math.max(2, Math.min(wide - w - 8, n.x * scale + shiftX)), y = (n.y + HIGH) * scale + shiftY + 8;
    const r = room([x - 6, y - 10, x + w + 6, y + 10]);
    if (!r) continue;
    if (n.kind === "concept") spoken++;
    ctx.globalAlpha = 0.9; ctx.fillStyle = colour.ground; ctx.fillRect(x - 2, y - 7, w + 4, 14); ctx.globalAlpha = 1;
    ctx.fillStyle = colour.ink; ctx.fillText(text, x, y);
    labels.push({ text, rect: r });
  }
}
// The relations of the one in focus, by name, each on the rim of the box at its other end.
function relationNames() {
  const from = hovered >= 0 ? hovered : chosen;
  if (from < 0) return;
  const told = new Map();
  for (const [list, other] of [[after[from], end], [before[from], start]]) for (const i of list) {
    if (!shownEdge[i] || !isRelation(edges[i])) continue;
    const j = other(edges[i]);
    told.set(j, [...(told.get(j) || []), kinds[edges[i][KIND]]]);
  }
  ctx.font = `10px ${FAMILY}`; ctx.textAlign = "left"; ctx.textBaseline = "middle";
  for (const [j, names] of told) {
    const text = names.join(", "), w = ctx.measureText(text).width, [x, y] = [nodes[j].x * scale + shiftX + 8, nodes[j].y * scale + shiftY - 1];
    if (!seen(nodes[j])) continue;
    ctx.fillStyle = colour.ground; ctx.fillRect(x - 3, y - 6, w + 6, 12);
    ctx.fillStyle = names[0] === "is a" ? colour.isa : colour.attribute; ctx.fillText(text, x, y);
    labels.push({ text, rect: [x - 3, y - 6, x + w + 3, y + 6] });
  }
}
function mapScale() {
  const k = Math.min((map.clientWidth - 8) / (box[2] - box[0]), (map.clientHeight - 8) / (box[3] - box[1]));
  return [k, (map.clientWidth - (box[0] + box[2]) * k) / 2, (map.clientHeight - (box[1] + box[3]) * k) / 2];
}
function drawMap() {
  const whole = box[0] * scale + shiftX >= 0 && box[2] * scale + shiftX <= wide && box[1] * scale + shiftY >= 0 &&
    box[3] * scale + shiftY <= high;
  map.hidden = whole;
  if (whole) return;
  const [k, x, y] = mapScale(), c = map.getContext("2d");
  if (!overview) {
    overview = document.createElement("canvas");
    overview.width = map.width = map.clientWidth * ratio; overview.height = map.height = map.clientHeight * ratio;
    const o = overview.getContext("2d");
    o.setTransform(k * ratio, 0, 0, k * ratio, x * ratio, y * ratio);
    nodes.forEach((n, i) => {
      if (!shownNode[i]) return;
      const marks = n.kind === "concept" ? markedBy(n) : [];
      o.fillStyle = n.kind !== "concept" ? colour.ink : marks.length ? colour[`p-${polarities[marks[0]]}`] : colour.border;
      o.fillRect(n.x, n.y, Math.max(WIDE, 1.5 / k), Math.max(HIGH, 1.5 / k));
    });
  }
  c.setTransform(1, 0, 0, 1, 0, 0);
  c.clearRect(0, 0, map.width, map.height); c.drawImage(overview, 0, 0);
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  c.strokeStyle = colour.ink; c.lineWidth = 1.5;
  const left = Math.max(1, -shiftX / scale * k + x), top = Math.max(1, -shiftY / scale * k + y);
  c.strokeRect(left, top, Math.min(map.clientWidth - 1, (wide - shiftX) / scale * k + x) - left,
    Math.min(map.clientHeight - 1, (high - shiftY) / scale * k + y) - top);
}

// ---- what is told
let chosen = -1, hovered = -1;
function sourceText(s) {
  const parts = [];
  if (s.text !== undefined) parts.push(`“${s.text}”`);
  if (s.description !== undefined) parts.push(s.description);
  if (s.value !== undefined) parts.push(s.value);
  if (s.code !== undefined) parts.push(s.code);
  if (s.characters !== undefined) parts.push(`characters ${s.characters[0]} to ${s.characters[1]}`);
  if (s.time !== undefined) parts.push(s.time);
  return parts.join(", ");
}
function witnesses(n, most) {
  return n.evidence.map((e) => {
    const p = polarities.indexOf(e.polarity), item = make("p", undefined, "witness");
    item.append(make("span", signs[p], `mark ${e.polarity}`), ` ${e.polarity} in ${e.modality}, weight ${e.weight}`);
    e.sources.slice(0, most).forEach((s) => item.append(make("br"), sourceText(s)));
    if (e.sources.length > most) item.append(make("br"), `and ${e.sources.length - most} more`);
    return item;
  });
}
function head(n) {
  if (n.kind === "modality") return [n.absent ? "not observed in this patient" : "modality"];
  if (n.kind === "observation") return [n.said];
  const deep = n.depth === null ? "" : `, depth ${n.depth}`;
  return [`SCTID ${n.sctid}${deep}`, isEvidence(n) ? "" : `${n.ancestor ? "ancestor" : "reached through an attribute"}, ` +
    `${n.steps} ${n.steps === 1 ? "step" : "steps"} from evidence`].filter(Boolean);
}
function tell(i) {
  tip.replaceChildren();
  tip.hidden = i < 0;
  canvas.classList.toggle("over", i >= 0 && i === hovered);
  if (i < 0) return;
  const n = nodes[i];
  tip.append(make("p", n.fsn, "name"), ...head(n).map((t) => make("p", t, "soft")));
  if (n.kind === "concept") tip.append(...witnesses(n, 3));
  const x = n.x * scale + shiftX, y = n.y * scale + shiftY;
  const below = y + HIGH * scale + 8, w = tip.offsetWidth, h = tip.offsetHeight;
  tip.style.left = `${Math.max(6, Math.min(wide - w - 6, x))}px`;
  tip.style.top = `${below + h < high ? below : Math.max(6, y - h - 8)}px`;
}
function neighbours(i, links, next, title) {
  const list = links[i].filter((k) => shownEdge[k]);
  if (!list.length) return [];
  const out = make("ul");
  list.slice(0, 60).forEach((k) => {
    const j = next(edges[k]), item = make("li"), button = make("button", nodes[j].kind === "observation" ? nodes[j].fsn : nodes[j].name);
    button.type = "button";
    const said = edges[k][POLARITY] >= 0 ? polarities[edges[k][POLARITY]] : kinds[edges[k][KIND]];
    button.prepend(make("small", said));
    button.addEventListener("click", () => { choose(j); centre(j); });
    item.append(button); out.append(item);
  });
  if (list.length > 60) out.append(make("li", `and ${list.length - 60} more`, "soft"));
  return [make("h3", `${title} (${list.length})`), out];
}
function choose(i) {
  chosen = i;
  const panel = $("details");
  panel.replaceChildren();
  if (i < 0) panel.append(make("p", "Choose a concept: click it, or search, or walk with the arrow keys.", "soft"));
  else {
    const n = nodes[i];
    panel.append(make("h2", n.fsn), ...head(n).map((t) => make("p", t, "soft")));
    if (n.kind === "concept") {
      panel.append(...witnesses(n, 12));
      if (n.synonyms.length) panel.append(make("h3", "Also called"), make("p", n.synonyms.join("; ")));
    }
    panel.append(...neighbours(i, after, end, "Leads to"), ...neighbours(i, before, start, "Led to by"));
  }
  light(); redraw();
}

// ---- search: every word, anywhere in a name, a synonym or an SCTID
let matches = null;
const haystack = nodes.map((n) => [n.fsn, n.name, ...(n.synonyms || []), n.sctid || ""].join("\n").toLocaleLowerCase());
function search() {
  const words = $("search").value.toLocaleLowerCase().split(/\s+/).filter(Boolean), list = $("found");
  list.replaceChildren();
  matches = null;
  $("hits").textContent = "";
  if (words.length) {
    const hits = nodes.map((n, i) => i).filter((i) => words.every((w) => haystack[i].includes(w)));
    const better = (i) => (nodes[i].sctid === words[0] ? 0 : nodes[i].name.toLocaleLowerCase().startsWith(words[0]) ? 1 : 2) - 0.5 * isEvidence(nodes[i]);
    hits.sort((a, b) => better(a) - better(b) || a - b);
    matches = new Set(hits.filter((i) => shownNode[i]));
    $("hits").textContent = `${hits.length} found` + (hits.length > matches.size ? `, ${hits.length - matches.size} of them hidden by a filter` : "");
    hits.slice(0, 50).forEach((i) => {
      const n = nodes[i], item = make("li"), button = make("button", n.fsn);
      button.type = "button";
      const also = (n.synonyms || []).find((s) => words.every((w) => s.toLocaleLowerCase().includes(w)));
      const said = [n.sctid && n.sctid !== n.fsn ? n.sctid : n.kind, also && !n.fsn.toLocaleLowerCase().includes(words[0]) ? `“${also}”` : "",
        shownNode[i] ? "" : "hidden by a filter"].filter(Boolean);
      button.append(make("small", said.join(", ")));
      button.disabled = !shownNode[i];
      button.addEventListener("click", () => { choose(i); centre(i); });
      item.append(button); list.append(item);
    });
  }
  redraw();
}
$("search").addEventListener("input", search);
$("search").addEventListener("keydown", (event) => {
  if (event.key === "Enter") { $("found").querySelector("button:not(:disabled)")?.click(); canvas.focus({ preventScroll: true }); }
});

// ---- filters
function filter(where, of, names, count) {
  const order = names.map((_, i) => i);
  if (of === "relation") order.sort((a, b) => (names[b] === "is a") - (names[a] === "is a") || count(b) - count(a) || a - b);
  order.forEach((i) => {
    const name = names[i];
    if (!count(i)) return;
    const label = make("label"), input = make("input");
    input.type = "checkbox"; input.checked = true; input.dataset.name = name;
    input.addEventListener("change", () => { on[of][input.checked ? "add" : "delete"](i); refilter(); });
    label.append(input, where === "by-polarity" ? make("b", signs[i], `mark ${name}`) : "", make("span", name), make("small", count(i).toLocaleString("en")));
    $(where).append(label);
  });
}
function setAll(wanted) {
  for (const input of $("by-relation").querySelectorAll("input")) input.checked = wanted;
  kinds.forEach((_, i) => on.relation[wanted ? "add" : "delete"](i));
  refilter();
}
const countOf = (column, wanted) => edges.reduce((n, e) => n + (wanted(e) ? 1 : 0), 0);

// ---- hands
function at(x, y) {  // the one under the point, else the nearest within a few pixels
  const wx = (x - shiftX) / scale, wy = (y - shiftY) / scale;
  let best = -1, least = 5 / scale;
  nodes.forEach((n, i) => {
    if (!shownNode[i]) return;
    const away = Math.hypot(Math.max(n.x - wx, 0, wx - n.x - WIDE), Math.max(n.y - wy, 0, wy - n.y - HIGH));
    if (away < least || (away === 0 && best < 0)) { best = i; least = away; }
  });
  return best;
}
const fingers = new Map();
let moved = 0;
const local = (event) => { const r = canvas.getBoundingClientRect(); return [event.clientX - r.left, event.clientY - r.top]; };
function hover(i) {
  if (i === hovered) return;
  hovered = i; light(); tell(i); redraw();
}
canvas.addEventListener("pointerdown", (event) => {
  try { canvas.setPointerCapture(event.pointerId); } catch { /* a pointer made by a script cannot be captured */ }
  fingers.set(event.pointerId, local(event)); moved = 0;
});
canvas.addEventListener("pointermove", (event) => {
  const [x, y] = local(event), was = fingers.get(event.pointerId);
  if (!was) return hover(at(x, y));
  if (fingers.size === 2) {
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
    const gap = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1;
    zoom(gap([x, y]) / gap(was), (x + other[0]) / 2, (y + other[1]) / 2);
    moved = 99;
  } else {
    shiftX += x - was[0]; shiftY += y - was[1];
    moved += Math.abs(x - was[0]) + Math.abs(y - was[1]);
    if (moved > 4) { canvas.classList.add("dragging"); tell(-1); }
    move();
  }
  fingers.set(event.pointerId, [x, y]);
});
const release = (event) => {
  if (fingers.delete(event.pointerId) && event.type === "pointerup" && moved <= 4) { const i = at(...local(event)); choose(i); tell(i); }
  canvas.classList.remove("dragging");
};
canvas.addEventListener("pointerup", release);
canvas.addEventListener("pointercancel", release);
canvas.addEventListener("pointerleave", () => hover(-1));
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.04 : 0.0016)), ...local(event));
  tell(-1);
}, { passive: false });
map.addEventListener("pointerdown", (event) => {
  const [k, x, y] = mapScale(), r = map.getBoundingClientRect();
  shiftX = wide / 2 - (event.clientX - r.left - x) / k * scale;
  shiftY = high / 2 - (event.clientY - r.top - y) / k * scale;
  redraw();
});

function walk(key) {
  if (chosen < 0) return nodes.findIndex((n, i) => shownNode[i] && n.kind === "concept");
  const n = nodes[chosen];
  if (key === "ArrowLeft" || key === "ArrowRight") {
    const [links, next] = key === "ArrowRight" ? [after, end] : [before, start];
    const near = links[chosen].filter((k) => shownEdge[k]).map((k) => next(edges[k])).filter((j) => j !== chosen);
    return near.sort((a, b) => Math.abs(nodes[a].y - n.y) - Math.abs(nodes[b].y - n.y) || a - b)[0] ?? chosen;
  }
  const way = key === "ArrowDown" ? 1 : -1;
  const column = nodes.map((_, i) => i).filter((i) => shownNode[i] && nodes[i].kind === n.kind && nodes[i].x === n.x && (nodes[i].y - n.y) * way > 0);
  return column.sort((a, b) => (nodes[a].y - nodes[b].y) * way)[0] ?? chosen;
}
canvas.addEventListener("keydown", (event) => {
  const arrow = event.key.startsWith("Arrow");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (arrow && event.shiftKey) {
    shiftX += { ArrowLeft: 80, ArrowRight: -80 }[event.key] || 0;
    shiftY += { ArrowUp: 80, ArrowDown: -80 }[event.key] || 0;
    tell(-1); redraw();
  } else if (arrow) {
    const i = walk(event.key);
    hover(-1);
    if (i >= 0) { choose(i); centre(i); }
  } else if (event.key === "+" || event.key === "=") { tell(-1); zoom(1.25); }
  else if (event.key === "-") { tell(-1); zoom(0.8); }
  else if (event.key === "0") { tell(-1); fit(); }
  else if (event.key === "Home") { tell(-1); begin(); }
  else if (event.key === "Enter" && chosen >= 0) centre(chosen, 1);
  else if (event.key === "Escape") { hover(-1); choose(-1); tell(-1); $("search").value = ""; search(); }
  else return;
  event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement?.tagName !== "INPUT") { event.preventDefault(); $("search").focus(); }
});
canvas.addEventListener("blur", () => tell(-1));
$("in").addEventListener("click", () => zoom(1.25));
$("out").addEventListener("click", () => zoom(0.8));
$("fit").addEventListener("click", fit);
$("start").addEventListener("click", begin);
$("all").addEventListener("click", () => setAll(true));
$("none").addEventListener("click", () => setAll(false));

// ---- the legend's samples
function keys() {
  for (const sample of document.querySelectorAll("canvas.key")) {
    const c = sample.getContext("2d"), name = sample.dataset.key, p = polarities.indexOf(name);
    sample.width = 64 * (devicePixelRatio || 1); sample.height = 20 * (devicePixelRatio || 1);
    c.scale(devicePixelRatio || 1, devicePixelRatio || 1);
    if (p >= 0 || name === "isa" || name === "attribute") {
      c.strokeStyle = p >= 0 ? colour[`p-${name}`] : colour[name]; c.lineWidth = p >= 0 ? 2.4 : 1.5;
      c.setLineDash(p >= 0 ? dashes[p] : name === "attribute" ? [5, 3] : []);
      c.beginPath(); c.moveTo(2, 10); c.lineTo(p >= 0 ? 28 : 52, 10); c.stroke();
      if (p >= 0) {
        badge(c, p, 36, 10, 7); c.setLineDash([]); c.lineWidth = 1.5; c.strokeRect(47, 6, 16, 8); afar(c, p, 47, 6, 16, 8);
      }
      else {
        c.setLineDash([]); c.beginPath(); c.moveTo(62, 10); c.lineTo(53, 5.5); c.lineTo(53, 14.5); c.closePath();
        c.fillStyle = name === "isa" ? colour.ground : colour.attribute; c.fill(); c.stroke();
      }
    } else {
      c.beginPath(); c.roundRect(2, 2, 58, 16, name === "target" ? 0 : 6);
      c.fillStyle = name === "evidence" ? colour.ground : name === "target" ? colour.frame : colour.box; c.fill();
      c.strokeStyle = name === "evidence" ? colour["p-present"] : name === "target" ? colour.rim : colour.border;
      c.lineWidth = name === "evidence" ? 2 : 1.2; c.stroke();
    }
  }
}

filter("by-modality", "modality", modalities, (i) => countOf(0, (e) => e[MODALITY] === i));
filter("by-polarity", "polarity", polarities, (i) => countOf(0, (e) => e[POLARITY] === i));
filter("by-relation", "relation", kinds, (i) => countOf(0, (e) => e[KIND] === i && isRelation(e)));
recolour(); refilter();
new ResizeObserver(() => { overview = null; resize(); }).observe(canvas);
resize();

// For tests, and for whoever scripts the page.
window.graphView = {
  get scale() { return scale; }, get labels() { return labels.map((l) => ({ text: l.text, rect: [...l.rect] })); },
  get chosen() { return chosen; }, get shown() { return shownNode.map((s, i) => (s ? i : -1)).filter((i) => i >= 0); },
  nodes, position: (i) => [nodes[i].x * scale + shiftX, nodes[i].y * scale + shiftY, WIDE * scale, HIGH * scale],
};
})();
