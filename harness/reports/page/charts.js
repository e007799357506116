// Draws the page's figures with Observable Plot, each chart as wide as its place, and folds its table away. Dots are
// links; those of a chart are one stop of the Tab key, to be walked through with the arrows.
"use strict";

const figures = JSON.parse(document.getElementById("figures").textContent);

const KINDS = [
  ["answered", "answered", "var(--accent)", "circle"],
  ["cold", "the cold start: in no quantile", "var(--accent)", "diamond"],
  ["cut-in", "cut in: before the end of speech", "var(--warn)", "triangle"],
  ["never", "never: counts as waiting for ever", "var(--fail)", "square"],
  ["invalid", "invalid: not counted", "var(--invalid)", "cross"],
];
const VERDICTS = [
  ["pass", "pass", "var(--pass)", "circle"],
  ["fail", "fail", "var(--fail)", "square"],
  ["inconclusive", "inconclusive", "var(--warn)", "triangle"],
  ["not gated", "not gated", "var(--quiet)", "circle"],
  ["invalid", "invalid", "var(--invalid)", "cross"],
];
const STAGES = d3
  .groups([...figures.stages, ...figures.turns].flatMap((one) => one.stages), ({ stage }) => stage)
  .map(([key, [{ name }]]) => [key, name, key === "unexplained" ? "url(#hatch)" : `var(--${key})`]);

const ordinal = (entries, of) => ({ type: "ordinal", domain: entries.map(([key]) => key), range: entries.map(of) });
const colours = (entries) => ordinal(entries, ([, , colour]) => colour);
const symbols = (entries) => ordinal(entries, ([, , , symbol]) => symbol);
const named = (entries) => (key) => entries.find(([own]) => own === key)[1];

const NARROW = 560; // pixels: a telephone
const LETTER = 7; // pixels, about the width of one
const TALLEST = 130; // pixels, of a heap of dots: rather than rise above it they become smaller
const RADII = [5, 4, 3, 2];
const FAR = 2; // a limit so many times beyond the slowest turn is not drawn to scale: it would squeeze the dots
const PAPER = { waits: 680, stages: 680, turns: 330, trends: 330 };

const inSeconds = (value) => `${+value.toFixed(3)} s`;
const inPercent = (value) => `${+(100 * value).toFixed(3)} %`;
const widest = (texts) => LETTER * d3.max(texts, (text) => text.length);

// One scale of seconds for all languages: from `low` to `high`, wide enough for every dot but the cut-ins long before
// the end of speech, and for the limits that are not far beyond the dots. Those cut-ins have a column of their own at
// `start`, and the turns that were never answered one at `end`.
const waits = (() => {
  const turns = figures.waits.flatMap((one) => one.turns.map((turn) => turn.wait_s));
  const quantiles = figures.waits.flatMap((one) => one.quantiles);
  const known = turns.filter((wait) => wait !== null);
  const longest = d3.max([0.1, ...known]);
  const bounds = quantiles.flatMap((q) => [q.high, q.limit <= FAR * longest ? q.limit : null]);
  const [low, high] = d3.nice(d3.min([0, ...known.filter((wait) => wait > -longest)]), d3.max([longest, ...bounds]), 6);
  const column = 0.13 * (high - low);
  return {
    start: known.some((wait) => wait < low) ? low - column : low,
    low,
    high,
    end: turns.includes(null) ? high + column : high,
    place: ({ wait_s }) => (wait_s === null ? waits.end : wait_s < low ? waits.start : wait_s),
  };
})();

function drawWaits(picture, { language, turns, quantiles }, width) {
  const narrow = width < NARROW;
  const ticks = d3.ticks(waits.low, waits.high, narrow ? 4 : 8);
  const columns = [
    [waits.start, "earlier"],
    [waits.end, "never"],
  ].filter(([place]) => place < waits.low || place > waits.high);
  const grid = Plot.gridX([...ticks, ...columns.map(([place]) => place)]);
  const shared = {
    width,
    marginLeft: narrow ? 20 : 44,
    marginRight: narrow ? 20 : 150,
    x: { domain: [waits.start, waits.end], axis: null },
  };

  const heap = (r) =>
    Plot.plot({
      ...shared,
      height: TALLEST,
      marginTop: 0,
      marginBottom: 3,
      ariaLabel: `${language}: the turns`,
      color: colours(KINDS),
      symbol: symbols(KINDS),
      marks: [
        grid,
        Plot.dot(
          turns,
          Plot.dodgeY({
            x: waits.place,
            anchor: "bottom",
            r,
            fill: "kind",
            symbol: "kind",
            className: "dots",
            href: (turn) => `#turn-${turn.turn}`,
            title: (turn) => `${turn.name}: ${turn.told}`,
          }),
        ),
      ],
    });
  for (const r of RADII) {
    const svg = heap(r);
    svg.setAttribute("role", "group"); // of links, not one picture
    picture.replaceChildren(svg);
    const box = svg.querySelector(".dots").getBBox();
    const top = Math.min(box.y, TALLEST - 4 * r) - 3;
    svg.setAttribute("viewBox", `0 ${top} ${width} ${TALLEST - top}`);
    svg.setAttribute("height", TALLEST - top);
    if (top >= 0) break;
  }
  const links = [...picture.querySelectorAll("a")];
  links.forEach((link, at) => {
    const turn = turns[at];
    link.setAttributeNS(null, "href", `#turn-${turn.turn}`); // Plot's is of the namespace xlink: no selector finds it
    link.setAttribute("aria-label", `${turn.name}, ${turn.told}`);
    link.setAttribute("class", `dot ${turn.kind}`);
    link.tabIndex = at ? -1 : 0;
    if (turn.wait_s !== null) link.dataset.play = turn.turn;
  });

  const row = narrow ? 34 : 18;
  picture.append(
    Plot.plot({
      ...shared,
      height: row * quantiles.length + 22,
      marginTop: 0,
      marginBottom: 22,
      ariaLabel: quantiles.map((q) => `${q.name} ${q.told}`).join("; ") || "seconds",
      y: {
        type: "band",
        domain: quantiles.map((q) => q.name),
        axis: narrow ? null : "left",
        tickSize: 0,
        label: null,
        padding: 0,
      },
      color: colours(VERDICTS),
      marks: [
        grid,
        Plot.axisX(ticks, { tickSize: 0, tickFormat: inSeconds, label: null }),
        Plot.axisX(columns, { x: "0", tickSize: 0, text: "1" }),
        Plot.barX(
          quantiles.filter((q) => q.verdict !== "not gated" && q.value !== null),
          {
            x1: (q) => Math.max(q.low ?? waits.low, waits.low),
            x2: (q) => q.high ?? waits.end,
            y: "name",
            fill: "verdict",
            fillOpacity: 0.38,
            insetTop: row - 13,
            insetBottom: 5,
          },
        ),
        Plot.tickX(
          quantiles.filter((q) => q.value !== null),
          { x: "value", y: "name", stroke: "verdict", strokeWidth: 3, insetTop: row - 16, insetBottom: 2 },
        ),
        Plot.tickX(
          quantiles.filter((q) => q.limit !== null && q.limit <= waits.high),
          { x: "limit", y: "name", strokeWidth: 2, strokeDasharray: "4 2", insetTop: row - 18 },
        ),
        Plot.text(
          quantiles.filter((q) => q.limit > waits.high),
          {
            y: "name",
            frameAnchor: "right",
            text: (q) => `limit ${inSeconds(q.limit)} →`,
            fill: "var(--quiet)",
            dx: -4,
            dy: row / 2 - 9,
          },
        ),
        Plot.text(quantiles, {
          y: "name",
          frameAnchor: narrow ? "left" : "right",
          textAnchor: "start",
          text: ({ name, told }) => (narrow ? `${name}: ${told}` : told),
          dx: narrow ? 4 : 10,
          dy: narrow ? -8 : 0,
        }),
      ],
    }),
  );
}

function drawStages(picture, languages, width) {
  const bars = languages.flatMap(({ name, stages }) => stages.map((stage) => ({ ...stage, language: name })));
  const length = (stage) => Math.max(0, stage.length_s);
  picture.replaceChildren(
    Plot.plot({
      width,
      height: 32 * languages.length + 24,
      marginTop: 0,
      marginBottom: 24,
      marginLeft: 12 + widest(languages.map(({ name }) => name)),
      marginRight: 60,
      ariaLabel: languages.map(({ name, told }) => `${name} ${told}`).join("; "),
      x: { label: null, ticks: Math.min(8, width / 90), tickSize: 0, tickFormat: inSeconds },
      y: { domain: languages.map(({ name }) => name), label: null, tickSize: 0, padding: 0.25 },
      color: colours(STAGES),
      marks: [
        Plot.gridX({ ticks: Math.min(8, width / 90) }),
        Plot.barX(
          bars,
          Plot.stackX({ x: length, y: "language", fill: "stage", title: (stage) => `${stage.name}: ${stage.told}` }),
        ),
        Plot.text(languages, {
          x: ({ stages }) => d3.sum(stages, length),
          y: "name",
          text: "told",
          textAnchor: "start",
          dx: 6,
        }),
      ],
    }),
  );
}

function drawTurn(picture, { told, stages }, width) {
  const ends = d3.cumsum(stages, (stage) => Math.max(0, stage.length_s));
  const bars = stages.map((stage, at) => ({ ...stage, start: at ? ends[at - 1] : 0, end: ends[at] }));
  const seen = bars.filter((bar) => bar.stage !== "unexplained" || bar.length_s > 0);
  const marginLeft = 12 + widest(bars.map((bar) => bar.name));
  const marginRight = 10 + widest(bars.map((bar) => bar.told));
  const ticks = (width - marginLeft - marginRight) / 70;
  picture.replaceChildren(
    Plot.plot({
      width,
      height: 20 * bars.length + 24,
      marginTop: 0,
      marginBottom: 24,
      marginLeft,
      marginRight,
      ariaLabel: `The wait of ${told}, stage by stage`,
      x: { label: null, ticks, tickSize: 0, tickFormat: inSeconds },
      y: { domain: bars.map((bar) => bar.name), label: null, tickSize: 0, padding: 0.15 },
      color: colours(STAGES),
      marks: [
        Plot.gridX({ ticks }),
        Plot.barX(seen, { x1: "start", x2: "end", y: "name", fill: "stage" }),
        Plot.tickX(seen, { x: "start", y: "name", stroke: "stage", strokeWidth: 2 }),
        Plot.text(bars, { y: "name", text: "told", frameAnchor: "right", textAnchor: "end", dx: marginRight }),
      ],
    }),
  );
}

function drawTrend(picture, { title, unit, points, told }, width) {
  const at = d3.range(points.length);
  const limit = points.at(-1).limit;
  const [low, high] = d3.extent([0, ...points.flatMap((p) => [p.value, p.high, p.limit])]);
  const format = unit === "%" ? inPercent : inSeconds;
  const date = (index) => points[index].started.slice(0, 10);
  picture.replaceChildren(
    Plot.plot({
      width,
      height: 150,
      marginTop: 10,
      marginBottom: 24,
      marginLeft: 50,
      marginRight: 10,
      ariaLabel: `${title}, ${points.length} runs`,
      x: { domain: [-0.5, points.length - 0.5] },
      y: { domain: [low, high || 1], nice: true, label: null },
      color: colours(VERDICTS),
      symbol: symbols(VERDICTS),
      marks: [
        Plot.gridY({ ticks: 4 }),
        Plot.axisY({ ticks: 4, tickSize: 0, tickFormat: format }),
        Plot.axisX([0], { tickSize: 0, tickFormat: date, textAnchor: "start", label: null }),
        Plot.axisX(at.slice(1).slice(-1), { tickSize: 0, tickFormat: date, textAnchor: "end", label: null }),
        Plot.areaY(points, { x: at, y1: "low", y2: "high", fill: "var(--wave)", fillOpacity: 0.22 }),
        Plot.ruleX(
          at.filter((index) => points[index].changed),
          { stroke: "var(--warn)", strokeWidth: 2 },
        ),
        Plot.ruleY(limit === null ? [] : [limit], { strokeWidth: 2, strokeDasharray: "6 4" }),
        Plot.lineY(points, { x: at, y: "value", stroke: "var(--wave)", strokeWidth: 2 }),
        Plot.dot(points, { x: at, y: "value", fill: "verdict", symbol: "verdict", r: 4.5, title: told }),
      ],
    }),
  );
}

const DRAW = { waits: drawWaits, stages: drawStages, turns: drawTurn, trends: drawTrend };

function draw(picture, width) {
  const figure = picture.closest("figure");
  const { chart, of } = figure.dataset;
  const focused = picture.contains(document.activeElement) && document.activeElement.getAttribute("href");
  DRAW[chart](picture, of === undefined ? figures[chart] : figures[chart][of], width);
  if (focused) picture.querySelector(`a[href='${focused}']`).focus();
  picture.dataset.width = width;
  if (!figure.classList.contains("drawn")) figure.querySelector("details").open = false;
  figure.classList.add("drawn");
}

const pictures = [...document.querySelectorAll(".picture")];

// What lies folded away has no width yet, and is drawn when it is unfolded.
const resized = new ResizeObserver((entries) =>
  requestAnimationFrame(() => {
    for (const { target } of entries) {
      const width = target.clientWidth;
      if (width && width !== Number(target.dataset.width)) draw(target, width);
    }
  }),
);
for (const picture of pictures) {
  if (!picture.closest("details:not([open])")) draw(picture, picture.clientWidth);
  resized.observe(picture);
}

for (const [event, most] of [["beforeprint", PAPER], ["afterprint", {}]]) {
  addEventListener(event, () => {
    for (const picture of pictures.filter((one) => one.dataset.width && one.clientWidth)) {
      draw(picture, Math.min(picture.clientWidth, most[picture.closest("figure").dataset.chart] ?? Infinity));
    }
  });
}

for (const [name, entries] of Object.entries({ waits: KINDS, stages: STAGES })) {
  const key = document.querySelector(`[data-key=${name}]`);
  const shapes = name === "waits" ? { symbol: symbols(entries), fill: "color" } : {};
  key?.append(Plot.legend({ color: colours(entries), ...shapes, tickFormat: named(entries) }));
}

document.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const dots = [...(event.target.closest(".picture")?.querySelectorAll("a") ?? [])];
  const next = step && dots[dots.indexOf(event.target) + step];
  if (!next) return;
  event.preventDefault();
  dots.forEach((dot) => (dot.tabIndex = dot === next ? 0 : -1));
  next.focus();
});
