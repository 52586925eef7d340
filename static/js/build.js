// Draws one build: its units as bars over time, and how many ran at the same time. It doesn't move: the build is over.

const ROW = 15; // pixels of a unit
const BAR = 0.75; // of a row; else Plotly makes them as high as the rows of their colour lie apart
const NARROW = 560;

const data = JSON.parse(document.getElementById("build-data").dataset.build);

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function layout(height, left, yaxis) {
  return {
    height,
    margin: { l: left, r: 12, t: 8, b: 26 },
    showlegend: false,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "inherit", size: 11, color: colour("--quiet") },
    hoverlabel: { font: { size: 11 } },
    xaxis: { range: [0, data.end || 1], ticksuffix: " s", gridcolor: colour("--line"), zeroline: false, fixedrange: true, nticks: 8 },
    yaxis: { gridcolor: colour("--line"), zeroline: false, fixedrange: true, ...yaxis },
  };
}

function cut(text, letters) {
  return text.length > letters ? `${text.slice(0, letters - 1)}…` : text;
}

function bars(onPath, paint) {
  const chosen = data.units.map((unit, row) => ({ unit, row })).filter(({ unit }) => Boolean(unit[3]) === onPath);
  return {
    type: "bar",
    orientation: "h",
    width: BAR,
    base: chosen.map(({ unit }) => unit[1]),
    x: chosen.map(({ unit }) => unit[2]),
    y: chosen.map(({ row }) => row),
    customdata: chosen.map(({ unit }) => unit[0]),
    hovertemplate: "%{customdata}<br>%{x:.2f} s, from %{base:.2f} s<extra></extra>",
    marker: { color: colour(paint) },
  };
}

function drawUnits(plot) {
  const isNarrow = plot.clientWidth < NARROW;
  const letters = isNarrow ? 16 : 38;
  const left = isNarrow ? 104 : 236;
  const axis = {
    range: [data.units.length - 0.5, -0.5],
    tickvals: data.units.map((_, row) => row),
    ticktext: data.units.map((unit) => cut(unit[0].replaceAll("<", "‹"), letters)),
    tickfont: { size: 10 },
    showgrid: false,
  };
  const shape = { ...layout(data.units.length * ROW + 50, left, axis), barmode: "overlay" };
  Plotly.react(plot, [bars(false, "--series-1"), bars(true, "--series-2")], shape, { displayModeBar: false, responsive: true });
}

function drawRunning(plot) {
  const line = (points, paint, more) => ({
    type: "scatter",
    mode: "lines",
    x: points.map((point) => point[0]),
    y: points.map((point) => point[1]),
    line: { color: colour(paint), width: 1.3, ...more },
    hoverinfo: "skip",
  });
  const top = Math.max(data.cores, ...data.running.map((point) => point[1])) * 1.12;
  const shape = layout(170, 46, { range: [0, top], nticks: 5 });
  const dash = { color: colour("--quiet"), width: 1, dash: "dash" };
  shape.shapes = [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: data.cores, y1: data.cores, line: dash }];
  Plotly.react(plot, [line(data.cpu, "--series-3", {}), line(data.running, "--series-1", { shape: "hv" })], shape, { staticPlot: true, responsive: true });
}

function draw() {
  const gantt = document.getElementById("gantt");
  const running = document.getElementById("running");
  if (gantt && data.units.length) drawUnits(gantt);
  if (running) drawRunning(running);
}

draw();
document.addEventListener("yard:theme", draw);
