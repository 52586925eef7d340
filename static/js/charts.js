// Draws the charts of a page from the data that its live region carries, in one style, with one crosshair for all.

const MARGIN = { l: 46, r: 10, t: 8, b: 22 };
const HEIGHT = 150;
const SERIES = ["--series-1", "--series-2", "--series-3", "--series-4"];
const FIXED = { p50: "--series-1", p95: "--series-2", p99: "--bad", others: "--series-4", agents: "--series-1", memory: "--series-1", "op/s": "--series-1" };
// Kinds of locks: nobody should wait for a build directory.
Object.assign(FIXED, { "build directory": "--bad", "build slot": "--series-1", "package cache": "--series-2", git: "--series-3", "artifact directory": "--series-4", "other lock": "--series-4" });
const DAY = 86400;
const FAR = 2; // a target this many times above the data is named, not drawn: it would flatten the rest
const ROOM = 0.2; // of the height, which the name of a line needs below it

const figures = new Map(Array.from(document.querySelectorAll("[data-chart]"), (figure) => [figure.dataset.chart, figure]));
const visible = new Set();
let data = { times: [] };
let hovered = null; // index of the point in time under the pointer

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// The same name has the same colour everywhere: waves by their number, the rest in order.
function colours(names) {
  const taken = new Set();
  const found = {};
  names.forEach((name, index) => {
    const number = /^w(\d+)$/.exec(name);
    let place = (number ? Number(number[1]) : index) % 3;
    while (taken.has(place) && taken.size < 3) place = (place + 1) % 3;
    taken.add(place);
    found[name] = colour(FIXED[name] || SERIES[place]);
  });
  return found;
}

function localTime(seconds) {
  const at = new Date(seconds * 1000);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60000).toISOString().slice(0, -1);
}

function span() {
  return data.times[data.times.length - 1] - data.times[0];
}

function highest(chart) {
  const series = Object.values(chart.stacked || chart.lines);
  if (!chart.stacked) return Math.max(0, ...series.flat().filter((value) => value !== null));
  return Math.max(0, ...data.times.map((_, index) => series.reduce((sum, values) => sum + (values[index] || 0), 0)));
}

// Bars stand around their times, so the axis reaches further than these.
function start() {
  return data.from ?? data.times[0];
}

function end() {
  return data.to ?? data.times[data.times.length - 1];
}

function traces(chart) {
  const series = chart.stacked || chart.lines;
  const names = Object.keys(series);
  const paint = colours(names);
  const x = data.times.map(localTime);
  if (chart.bars) return names.map((name) => ({ type: "bar", name, x, y: series[name], marker: { color: paint[name] } }));
  return names.map((name) => ({
    type: "scatter",
    mode: chart.stacked ? "lines" : "lines+markers",
    name,
    x,
    y: series[name],
    line: { color: paint[name], width: chart.stacked ? 0.8 : 1.3 },
    ...(chart.stacked ? { stackgroup: "all", fillcolor: fade(paint[name]) } : alone(series[name], paint[name])),
  }));
}

// A point between two gaps is no line: it is drawn as a dot.
function alone(values, colour) {
  const isGap = (index) => values[index] === null || values[index] === undefined;
  const size = values.map((_, index) => (isGap(index - 1) && isGap(index + 1) ? 4 : 0));
  return { connectgaps: false, marker: { size, color: colour, line: { width: 0 } } };
}

function fade(hex) {
  const alpha = document.documentElement.dataset.bsTheme === "dark" ? "b0" : "a8";
  return `${hex}${alpha}`;
}

function layout(chart, top, unit, width) {
  const quiet = colour("--quiet");
  const drawsTarget = chart.target && chart.target <= top * FAR;
  const ceiling = Math.max(top, drawsTarget ? chart.target : 0) * 1.12 || 1;
  return {
    height: HEIGHT,
    margin: MARGIN,
    showlegend: false,
    barmode: "stack",
    bargap: 0.15,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "inherit", size: 11, color: quiet },
    xaxis: {
      type: "date",
      range: [localTime(start()), localTime(end())],
      // Labels with seconds are wide, and two alike say nothing.
      nticks: width < 260 ? 3 : width < 420 ? 4 : 6,
      tickangle: 0,
      ticks: "outside",
      ticklen: 6, // keeps the times off the lowest value
      tickcolor: "rgba(0,0,0,0)",
      tickformat: span() < 900 ? "%H:%M:%S" : span() <= DAY ? "%H:%M" : "%-d %b",
      showgrid: false,
      zeroline: false,
      fixedrange: true,
    },
    yaxis: {
      range: [0, ceiling],
      nticks: 4,
      gridcolor: colour("--line"),
      zeroline: false,
      fixedrange: true,
      tickformat: ceiling >= 10000 ? "~s" : "",
      ticksuffix: ` ${unit}`,
      showticksuffix: "last",
    },
    shapes: drawsTarget ? [targetLine(chart.target)] : [],
    annotations: chart.word ? [targetWord(chart, drawsTarget, ceiling)] : [],
  };
}

function targetLine(value) {
  const line = { color: colour("--quiet"), width: 1, dash: "dash" };
  return { type: "line", xref: "paper", x0: 0, x1: 1, y0: value, y1: value, line };
}

function targetWord(chart, drawn, ceiling) {
  const under = chart.under && chart.target > ceiling * ROOM; // or it would lie on the times
  const place = drawn
    ? { x: 0, xanchor: "left", y: chart.target, yanchor: under ? "top" : "bottom" } // the newest stays uncovered
    : { x: 1, xanchor: "right", y: 1, yref: "paper", yanchor: "top" };
  const text = drawn ? chart.word : `${chart.word} ↑`;
  return { xref: "paper", showarrow: false, text, font: { size: 10 }, bgcolor: `${colour("--surface")}a0`, ...place };
}

function legend(figure, chart) {
  const series = chart.stacked || chart.lines;
  const paint = colours(Object.keys(series));
  const entries = Object.keys(series).map((name) => {
    const entry = document.createElement("span");
    const mark = document.createElement("i");
    mark.style.background = paint[name];
    const value = hovered === null ? null : series[name][hovered];
    entry.append(mark, value === null || value === undefined ? name : `${name} ${readable(value)}`);
    return entry;
  });
  figure.querySelector(".keys").replaceChildren(...entries);
}

function readable(value) {
  return value >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}

function isEmpty(chart) {
  return !chart || data.times.length < 2 || !Object.keys(chart.stacked || chart.lines).length || highest(chart) === 0;
}

function draw(key) {
  const figure = figures.get(key);
  const plot = figure.querySelector(".plot");
  const chart = data[key];
  figure.classList.toggle("no-data", isEmpty(chart));
  if (isEmpty(chart)) {
    figure.dataset.empty = (data.times.length > 1 && chart?.empty) || data.empty || "no samples in this span";
    Plotly.purge(plot);
    figure.querySelector(".keys").replaceChildren();
    return;
  }
  const top = highest(chart);
  Plotly.react(plot, traces(chart), layout(chart, top, figure.dataset.axis, plot.clientWidth), { staticPlot: true, responsive: true });
  plot.setAttribute("aria-label", `${figure.querySelector("b").textContent}: up to ${readable(top)} ${figure.dataset.axis} in this span`);
  legend(figure, chart);
  cross(figure);
}

// One at a time, so that a click never waits for all of them.
function drawAll() {
  if (document.hidden) return;
  for (const key of visible) setTimeout(draw, 0, key);
}

function cross(figure) {
  const line = figure.querySelector(".cross");
  const plot = figure.querySelector(".plot");
  line.hidden = hovered === null || figure.classList.contains("no-data");
  if (line.hidden) return;
  const width = plot.clientWidth - MARGIN.l - MARGIN.r;
  const share = (data.times[hovered] - start()) / (end() - start());
  line.style.left = `${plot.offsetLeft + MARGIN.l + share * width}px`;
  const time = localTime(data.times[hovered]);
  line.dataset.time = span() <= DAY ? time.slice(11, 19) : time.slice(5, 16).replace("T", " ");
}

function point(event) {
  const plot = event.currentTarget;
  const box = plot.getBoundingClientRect();
  const share = (event.clientX - box.left - MARGIN.l) / (box.width - MARGIN.l - MARGIN.r);
  const inside = share >= 0 && share <= 1 && data.times.length > 1;
  hovered = inside ? nearest(share) : null;
  sayHovered();
}

function nearest(share) {
  const wanted = start() + share * (end() - start());
  let best = 0;
  data.times.forEach((at, index) => {
    if (Math.abs(at - wanted) < Math.abs(data.times[best] - wanted)) best = index;
  });
  return best;
}

function sayHovered() {
  for (const [key, figure] of figures) {
    if (isEmpty(data[key])) continue;
    legend(figure, data[key]);
    cross(figure);
  }
}

function read() {
  const source = document.querySelector(".chart-data");
  if (!source) return;
  data = JSON.parse(source.dataset.charts);
  if (hovered !== null && hovered >= data.times.length) hovered = null;
}

function set() {
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const key = entry.target.dataset.chart;
      if (entry.isIntersecting) visible.add(key);
      else visible.delete(key);
      if (entry.isIntersecting) draw(key);
    }
  });
  for (const figure of figures.values()) {
    const line = document.createElement("span");
    line.className = "cross";
    line.hidden = true;
    figure.append(line);
    const plot = figure.querySelector(".plot");
    plot.addEventListener("pointermove", point);
    plot.addEventListener("pointerleave", () => {
      hovered = null;
      sayHovered();
    });
    watcher.observe(figure);
  }
}

let shown = "";
function refresh() {
  const source = document.querySelector(".chart-data");
  if (!source || source.dataset.charts === shown) return;
  shown = source.dataset.charts;
  read();
  drawAll();
}

read();
set();
document.addEventListener("yard:changed", refresh);
document.addEventListener("yard:theme", drawAll);
document.addEventListener("visibilitychange", drawAll);
