"use strict";
// Draws the plots of a page with uPlot from the data in the page.
(() => {
  const place = document.querySelector(".plot");
  const source = document.getElementById("plot-data");
  if (!place || !source || !window.uPlot) return;
  const data = JSON.parse(source.textContent);
  const find = (name) => place.querySelector(`[data-part="${name}"]`);
  const [axisLow, axisHigh] = JSON.parse(place.dataset.axis);
  const dashes = [[], [9, 4], [2, 3], [10, 3, 2, 3]];
  const hidden = new Set();
  const state = { batch: null, metric: 0, chosen: null };
  let plot = null;
  let detail = null;

  const ink = (name) => getComputedStyle(place).getPropertyValue(`--${name}`).trim();
  const plain = (x) => {
    if (x === 0) return "0";
    const size = Math.abs(x);
    if (size >= 1e-3 && size < 1e5) return String(Number(x.toPrecision(3)));
    return x.toExponential(2).replace(/\.?0*e\+?/, "e");
  };
  const shown = (x, metric) => {
    if (x === null || x === undefined) return "";
    if (data.metrics[metric].share && x >= 0 && x <= 1)
      return `${Number((100 * x).toPrecision(3))} %`;
    const hasDigits = Math.abs(x) >= 1e-3 && Math.abs(x) < 1e3;
    return hasDigits ? x.toPrecision(3) : plain(x);
  };
  // Solid and wide lines first: later ones, drawn over them, leave them visible.
  const dashOf = (curve) => data.series[curve.o].dash;
  const curvesOf = () =>
    data.curves
      .filter((curve) => curve.b === state.batch)
      .sort((one, other) => (dashOf(one) > 0) - (dashOf(other) > 0) || one.o - other.o);
  const isShown = (curve) => !hidden.has(curve.o);

  function axis(label, isRate, metric) {
    return {
      stroke: ink("ink-soft"),
      grid: { stroke: ink("line"), width: 1 },
      ticks: { stroke: ink("line"), width: 1, size: 4 },
      font: "12px system-ui, sans-serif",
      labelFont: "12px system-ui, sans-serif",
      label,
      labelSize: 20,
      size: isRate ? 30 : 56,
      space: isRate ? 44 : 34,
      ...(isRate && { splits: decades }),
      values: (_, ticks) =>
        ticks.map((x) => {
          if (x === null) return "";
          return !isRate && data.metrics[metric].share ? shown(x, metric) : plain(x);
        }),
    };
  }

  function decades() {
    const found = [];
    const span = Math.log10(axisHigh / axisLow);
    const steps = span < 2.2 ? [1, 2, 5] : [1];
    const every = Math.max(1, Math.ceil(span / (place.clientWidth / 75)));
    for (let k = Math.floor(Math.log10(axisLow)); k <= Math.log10(axisHigh); k += 1)
      if (k % every === 0)
        for (const step of steps) found.push(Number(`${step}e${k}`));
    return found.filter((x) => x >= axisLow && x <= axisHigh);
  }

  function isLogarithmic() {
    return find("log").checked && !find("log").disabled;
  }

  // The colour of a series, more or less opaque, on the plot's canvas.
  function paint(u, colour, alpha, draw) {
    u.ctx.save();
    u.ctx.beginPath();
    u.ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    u.ctx.clip();
    u.ctx.globalAlpha = alpha;
    u.ctx.fillStyle = u.ctx.strokeStyle = colour;
    u.ctx.beginPath();
    draw(u.ctx);
    u.ctx.restore();
  }

  function drawBands(u) {
    for (const curve of curvesOf().filter(isShown)) {
      const [, low, high] = curve.values[state.metric];
      const at = data.rates.map((_, i) => i).filter((i) => low[i] !== null);
      const point = (ctx, i, values) =>
        ctx.lineTo(u.valToPos(data.rates[i], "x", true), u.valToPos(values[i], "y", true));
      paint(u, ink(`series-${data.series[curve.o].colour}`), 0.16, (ctx) => {
        at.forEach((i) => point(ctx, i, high));
        at.reverse().forEach((i) => point(ctx, i, low));
        ctx.fill();
      });
    }
    if (state.metric) return;
    for (const curve of curvesOf().slice(0, 1))
      paint(u, ink("ink-soft"), 0.8, (ctx) => {
        ctx.setLineDash([5, 5]);
        const y = u.valToPos(curve.initial, "y", true);
        ctx.moveTo(u.bbox.left, y);
        ctx.lineTo(u.bbox.left + u.bbox.width, y);
        ctx.stroke();
      });
  }

  function drawMarks(u) {
    const ratio = devicePixelRatio;
    for (const curve of curvesOf().filter(isShown))
      curve.diverged.forEach((count, i) => {
        const value = curve.values[state.metric][0][i];
        if (!count || value === null) return;
        const [x, y] = [u.valToPos(data.rates[i], "x", true), u.valToPos(value, "y", true)];
        const size = 6 * ratio;
        paint(u, ink(`series-${data.series[curve.o].colour}`), 1, (ctx) => {
          ctx.lineWidth = 2 * ratio;
          ctx.moveTo(x - size, y - size);
          ctx.lineTo(x + size, y + size);
          ctx.moveTo(x - size, y + size);
          ctx.lineTo(x + size, y - size);
          ctx.stroke();
        });
      });
    const { chosen } = state;
    const curve = chosen && curvesOf().find((c) => c.o === chosen.o && chosen.b === c.b);
    const value = curve && isShown(curve) ? curve.values[state.metric][0][chosen.r] : null;
    if (value === null || value === undefined) return;
    paint(u, ink("ink"), 1, (ctx) => {
      ctx.lineWidth = 2 * ratio;
      const x = u.valToPos(data.rates[chosen.r], "x", true);
      ctx.arc(x, u.valToPos(value, "y", true), 8 * ratio, 0, 7);
      ctx.stroke();
    });
  }

  function showValues(u) {
    const at = u.cursor.idx;
    const isInside = at !== null && at !== undefined && u.cursor.left >= 0;
    find("at").textContent = isInside
      ? `Learning rate ${plain(data.rates[at])}`
      : "Point at the plot for values; click a point for its runs.";
    for (const row of place.querySelectorAll(".bar")) {
      const curve = curvesOf().find((c) => c.o === Number(row.dataset.series));
      const cell = row.querySelector(".value");
      if (!curve || !isInside) {
        cell.textContent = "";
        continue;
      }
      const [mean, low, high] = curve.values[state.metric].map((some) => some[at]);
      const ends = low === high ? "" : ` (${shown(low, state.metric)} to ${shown(high, state.metric)})`;
      const diverged = curve.diverged[at] ? `, ${curve.diverged[at]} diverged` : "";
      cell.textContent = mean === null ? "" : shown(mean, state.metric) + ends + diverged;
    }
  }

  function nearest(u) {
    let [best, found] = [1600, null];
    for (const curve of curvesOf().filter(isShown))
      curve.values[state.metric][0].forEach((value, r) => {
        if (value === null) return;
        const x = u.valToPos(data.rates[r], "x") - u.cursor.left;
        const y = u.valToPos(value, "y") - u.cursor.top;
        if (x * x + y * y < best) [best, found] = [x * x + y * y, { o: curve.o, b: curve.b, r }];
      });
    return found;
  }

  // The bars beneath the plot, exactly under its axis.
  function align(u) {
    const left = u.bbox.left / devicePixelRatio;
    const right = left + u.bbox.width / devicePixelRatio;
    for (const group of place.querySelectorAll(".bars")) {
      group.style.paddingLeft = `${left}px`;
      group.style.paddingRight = `${Math.max(0, u.width - right)}px`;
    }
  }

  function sizeOf(box, most) {
    const width = Math.max(240, box.clientWidth);
    return { width, height: Math.round(Math.min(most, Math.max(240, width * 0.5))) };
  }

  function limits(values) {
    const known = values.flat().filter((x) => x !== null);
    const [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
    if (low > 0 && isLogarithmic()) return [low / 1.15, high * 1.15];
    const margin = 0.05 * (high - low) || 0.05 * Math.abs(high) || 0.5;
    return [low - margin, high + margin];
  }

  function draw() {
    const curves = curvesOf();
    const values = curves.flatMap((curve) => curve.values[state.metric]);
    if (!state.metric) values.push(curves.map((curve) => curve.initial));
    find("log").disabled = values.flat().some((x) => x !== null && x <= 0);
    const range = limits(values);
    const series = curves.map((curve, i) => {
      const { name, colour, dash } = data.series[curve.o];
      const stroke = ink(`series-${colour}`);
      return {
        label: name,
        show: isShown(curve),
        stroke,
        width: Math.max(1.5, (dash ? 2.5 : 4) - i / 2),
        dash: dashes[dash],
        spanGaps: true,
        points: { show: true, size: Math.max(4.5, 8 - i), fill: stroke },
      };
    });
    plot?.destroy();
    plot = new uPlot(
      {
        ...sizeOf(find("canvas"), 400),
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false } },
        scales: {
          x: { time: false, distr: 3, range: () => [axisLow, axisHigh] },
          y: { distr: isLogarithmic() ? 3 : 1, range: () => range },
        },
        axes: [
          axis("learning rate", true, 0),
          axis(data.metrics[state.metric].title, false, state.metric),
        ],
        series: [{}, ...series],
        hooks: {
          drawAxes: [align, drawBands],
          draw: [drawMarks],
          setCursor: [showValues],
        },
      },
      [data.rates, ...curves.map((curve) => curve.values[state.metric][0])],
      find("canvas"),
    );
    plot.over.addEventListener("click", () => {
      const found = nearest(plot);
      if (found) choose(found);
    });
    showValues(plot);
  }

  function choose(chosen) {
    state.chosen = chosen;
    hidden.delete(chosen.o);
    if (chosen.b !== state.batch) state.batch = chosen.b;
    find("batch").value = String(state.batch);
    refresh();
  }

  function drawRuns() {
    const { o, b, r } = state.chosen;
    const runs = data.runs.filter((run) => run.o === o && run.b === b && run.r === r);
    const { name, command } = data.series[o];
    find("runs").hidden = !runs.length;
    find("runs-title").textContent =
      `${name}, learning rate ${plain(data.rates[r])}, batch size ${b}`;
    const seeds = runs
      .filter((run) => run.end !== null)
      .map((run) => (run.s === null ? "mean over seeds" : `seed ${run.s}`) + `: ${shown(run.end, 0)}`);
    find("runs-ends").textContent = `${data.metrics[0].title} in the end: ${seeds.join(", ")}.`;
    const line = find("runs-command");
    line.hidden = !command;
    line.querySelector("code").textContent =
      `${command} --learning-rates ${data.rates[r]} --batch-sizes ${b}`;
    const histories = runs.map((run) => run.h[state.metric]);
    const length = Math.max(0, ...histories.map((values) => values.length));
    detail?.destroy();
    detail = null;
    find("runs-none").hidden = length > 0;
    if (!length) return;
    const first = ((data.epochs - 1) % data.step) + 1;
    const epochs = Array.from({ length }, (_, i) => first + i * data.step);
    const range = limits(histories);
    detail = new uPlot(
      {
        ...sizeOf(find("runs-canvas"), 260),
        cursor: { y: false, drag: { x: false, y: false } },
        scales: {
          x: { time: false },
          y: { distr: isLogarithmic() && range[0] > 0 ? 3 : 1, range: () => range },
        },
        axes: [
          { ...axis("epoch", false, 0), size: 30, values: (_, ticks) => ticks.map((x) => (x % 1 ? "" : x)) },
          axis(data.metrics[state.metric].title, false, state.metric),
        ],
        series: [
          { label: "Epoch" },
          ...runs.map((run, i) => ({
            label: run.s === null ? "mean over seeds" : `seed ${run.s}`,
            stroke: ink(`series-${(i % 8) + 1}`),
            dash: dashes[Math.floor(i / 8) % 4],
            width: 2,
            points: { show: length < 3 },
            value: (_, x) => shown(x, state.metric) || "–",
          })),
        ],
      },
      [epochs, ...histories.map((values) => epochs.map((_, i) => values[i] ?? null))],
      find("runs-canvas"),
    );
  }

  function refresh() {
    for (const group of place.querySelectorAll(".bars"))
      group.hidden = Number(group.dataset.batch) !== state.batch;
    for (const row of place.querySelectorAll(".bar")) {
      const isOff = hidden.has(Number(row.dataset.series));
      row.classList.toggle("off", isOff);
      row.querySelector("button").setAttribute("aria-pressed", String(!isOff));
    }
    draw();
    if (state.chosen) drawRuns();
    for (const cell of document.querySelectorAll(".maps td[data-r]")) {
      const { o, b, r } = state.chosen ?? {};
      const isChosen = [o, b, r].join() === [cell.dataset.o, cell.dataset.b, cell.dataset.r].join();
      cell.toggleAttribute("data-chosen", isChosen);
    }
  }

  function listen() {
    find("batch").addEventListener("change", (event) => {
      state.batch = Number(event.target.value);
      if (state.chosen) state.chosen.b = state.batch;
      refresh();
    });
    find("metric").addEventListener("change", (event) => {
      state.metric = Number(event.target.value);
      refresh();
    });
    find("log").addEventListener("change", refresh);
    for (const row of place.querySelectorAll(".bar"))
      row.querySelector("button").addEventListener("click", () => {
        const series = Number(row.dataset.series);
        if (!hidden.delete(series)) hidden.add(series);
        refresh();
      });
    for (const cell of document.querySelectorAll(".maps td[data-r]")) {
      const [o, b, r] = [cell.dataset.o, cell.dataset.b, cell.dataset.r].map(Number);
      const open = () => {
        choose({ o, b, r });
        find("runs").scrollIntoView({ block: "nearest", behavior: "smooth" });
      };
      cell.tabIndex = 0;
      cell.addEventListener("click", open);
      cell.addEventListener("keydown", (event) => {
        if (event.key === "Enter") open();
      });
    }
    let width = place.clientWidth;
    new ResizeObserver(() => {
      if (place.clientWidth === width) return;
      width = place.clientWidth;
      refresh();
    }).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  }

  const start = JSON.parse(place.dataset.start);
  state.batch = start.b;
  find("batch").value = String(start.b);
  find("log").checked = place.dataset.log === "true";
  if (start.r !== null) state.chosen = start;
  document.documentElement.classList.add("plotted");
  find("controls").hidden = false;
  for (const drawing of document.querySelectorAll("details.drawings")) drawing.open = false;
  listen();
  refresh();
})();
