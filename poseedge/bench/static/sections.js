import { drawn, explain, html, marker, number, scale, SHAPE_NAMES, svg, xAxis, yAxis } from "./charts.js";

const COLOURS = { fp32: "#2f6fde", fp16: "#0f8f86", int8: "#d9660b", "int8-fp16": "#8446c4" };
const MORE = ["#5a6b80", "#b0367f", "#7a8a00", "#a34a28"];

export const report = JSON.parse(document.getElementById("data").textContent);
export const rows = report.main.map((place) => ({ ...report.rows[place], place, file: report.names[place] }));
const backends = [...new Set(report.rows.map((row) => row.backend))];
const several = new Set(report.names).size > 1;
const models = new Set(rows.map((row) => row.model)).size;

export function colour(row) {
  const same = rows.filter((other) => other.precision === row.precision && other.backend === row.backend);
  const place = same.findIndex((other) => other.artefact === row.artefact);
  if (row.backend.startsWith("torch")) return MORE[backends.indexOf(row.backend) % 2];
  return place > 0 ? MORE[(place + 1) % MORE.length] : COLOURS[row.precision] ?? MORE[0];
}
export const shape = (row) => SHAPE_NAMES[backends.indexOf(row.backend) % SHAPE_NAMES.length];
const DASHES = [null, null, "6 3", "2 3", "9 3 2 3"];
const dashed = (row) => {
  const pattern = DASHES[backends.filter((name) => !name.startsWith("torch")).indexOf(row.backend) + 1];
  return pattern ? { "stroke-dasharray": pattern } : {};
};
const model = (row) => (models > 1 ? `${row.model} ` : "");
export const short = (row) => `${model(row)}${row.precision} · ${row.backend}${row.cuda_graph ? " · CUDA graph" : ""}`;
const unique = (row) => (rows.filter((other) => short(other) === short(row)).length > 1 ? `${short(row)} · ${row.file}` : short(row));
export const called = unique;
const shortened = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
const signed = (value, digits = 2) => {
  if (value === null || value === undefined) return "-";
  const text = Math.abs(value).toFixed(digits);
  return Number(text) === 0 ? text : (value > 0 ? "+" : "−") + text;
};
const times = (value) => (value === null || value === undefined ? "-" : `${value.toFixed(2)}×`);

// ---------------------------------------------------------------- the table
const COLUMNS = [
  { head: "artefact", value: (row) => called(row), show: nameCell },
  { head: "p50\nms", value: (row) => row.latency_ms.p50, show: (row) => number(row.latency_ms.p50), best: Math.min },
  { head: "p90\nms", value: (row) => row.latency_ms.p90, show: (row) => number(row.latency_ms.p90) },
  { head: "p99\nms", value: (row) => row.latency_ms.p99, show: (row) => number(row.latency_ms.p99) },
  { head: "ratio\n95 %", value: (row) => row.ratio?.value, show: ratioCell },
  { head: "speed-up\non PyTorch", value: (row) => row.speedup, show: (row) => times(row.speedup) },
  { head: "live frame\nms", value: (row) => row.latency_per_live_frame_ms, show: (row) => number(row.latency_per_live_frame_ms), best: Math.min, idle: () => rows.every((row) => row.every === 1 && row.batch === 1) },
  { head: "second of\nmotion, ms", value: (row) => row.latency_per_second_ms, show: (row) => number(row.latency_per_second_ms) },
  { head: "GPU p50\nms", value: (row) => row.gpu_ms?.p50, show: (row) => number(row.gpu_ms?.p50) },
  { head: "evicted\np50 ms", value: (row) => row.latency_evicted_ms?.p50, show: (row) => number(row.latency_evicted_ms?.p50) },
  { head: "MPJPE\nmm", value: (row) => row.mpjpe_mm, show: (row) => row.mpjpe_mm?.toFixed(2), best: Math.min },
  { head: "change\nmm", value: (row) => row.delta_mpjpe_mm, show: (row) => signed(row.delta_mpjpe_mm) },
  { head: "with overlap\nMPJPE mm", value: (row) => row.accuracy?.overlap_mpjpe_mm, show: (row) => row.accuracy?.overlap_mpjpe_mm.toFixed(2) },
  { head: "distance\nmean mm", value: (row) => distance(row)?.mean, show: (row) => distance(row)?.mean?.toFixed(2) },
  { head: "distance\np99 mm", value: (row) => distance(row)?.p99, show: (row) => distance(row)?.p99?.toFixed(2) },
  { head: "jitter", value: (row) => row.accuracy?.jitter_ratio, show: (row) => times(row.accuracy?.jitter_ratio) },
  { head: "jitter with\noverlap", value: (row) => row.accuracy?.overlap_jitter_ratio, show: (row) => times(row.accuracy?.overlap_jitter_ratio) },
  { head: "energy\nmJ a pose", value: (row) => row.energy?.gross_j_per_pose, show: (row) => number(1000 * row.energy?.gross_j_per_pose) },
];
const COSTS = [
  { head: "artefact", value: (row) => called(row), show: nameCell },
  { head: "cold start\nms", value: (row) => row.cold?.total_ms, show: (row) => number(row.cold?.total_ms), best: Math.min },
  { head: "of it\nload", value: (row) => row.cold?.load_ms, show: (row) => number(row.cold?.load_ms) },
  { head: "of it\nfirst call", value: (row) => row.cold?.first_ms, show: (row) => number(row.cold?.first_ms) },
  { head: "peak RSS\nMB", value: (row) => row.peak_rss_bytes, show: (row) => millions(row.peak_rss_bytes), best: Math.min },
  { head: "file\nMB", value: (row) => row.file_bytes, show: (row) => millions(row.file_bytes), best: Math.min },
  { head: "MFLOP", value: (row) => row.flops, show: (row) => millions(row.flops) },
  { head: "without\nattention", value: (row) => row.flops_without_attention, show: (row) => millions(row.flops_without_attention) },
  { head: "parameters\nmillions", value: (row) => row.params, show: (row) => millions(row.params) },
  { head: "nodes", value: (row) => row.nodes, show: (row) => row.nodes },
  { head: "frames\nin", value: (row) => row.frames_in, show: (row) => row.frames_in },
  { head: "frames\nout", value: (row) => row.frames_out, show: (row) => row.frames_out },
];
const millions = (value) => (known(value) ? number(value / 1e6) : "-"); // null / 1e6 is 0
const distance = (row) => row.accuracy?.distance ?? row.distance_mm;
const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);

function nameCell(row) {
  const swatch = html("i", { className: "swatch", style: `background:${colour(row)}` });
  const words = html("span", {}, called(row), html("small", {}, `${several || models > 1 ? row.file : row.model}`));
  const star = row.pareto ? [html("span", { className: "star", title: "on the Pareto front" }, "★")] : [];
  return html("div", { className: "name" }, swatch, words, ...star);
}

function ratioCell(row) {
  if (!row.ratio) return "-";
  const { value, low, high } = row.ratio;
  const around = low === null ? [] : [html("small", {}, low === high ? "the baseline" : `${low.toFixed(3)}–${high.toFixed(3)}`)];
  return html("span", {}, value.toFixed(3), ...around);
}

export function sortable(table, columns, lines) {
  let by = null, down = false;
  const body = html("tbody");
  const heads = columns.map((column, place) => {
    const button = html("button", { type: "button" }, column.head);
    button.addEventListener("click", () => {
      down = by === place ? !down : false;
      by = place;
      heads.forEach((head, other) => (other === by ? head.setAttribute("aria-sort", down ? "descending" : "ascending") : head.removeAttribute("aria-sort")));
      fill();
    });
    return html("th", { scope: "col" }, button);
  });
  function fill() {
    const order = [...lines];
    if (by !== null) {
      const value = columns[by].value;
      order.sort((one, other) => {
        const [a, b] = [value(one), value(other)];
        if (!known(a) || !known(b)) return known(b) - known(a);
        return (typeof a === "string" ? a.localeCompare(b) : a - b) * (down ? -1 : 1);
      });
    }
    body.replaceChildren(...order.map((line) => html("tr", {}, ...columns.map((column) => {
      const values = column.best && lines.length > 1 ? lines.map(column.value).filter(known) : [];
      const best = values.length && column.value(line) === column.best(...values);
      return html("td", best ? { className: "best" } : {}, column.show(line) ?? "-");
    }))));
  }
  table.replaceChildren(html("thead", {}, html("tr", {}, ...heads)), body);
  fill();
}

export function resultTables() {
  for (const [id, columns] of [["table", COLUMNS], ["cost-table", COSTS]]) {
    const told = (column) => rows.some((row) => known(column.value(row))) && !column.idle?.();
    sortable(document.getElementById(id), columns.filter(told), rows);
  }
}

// ---------------------------------------------------------------- latency against error
export function frontChart() {
  const usable = rows.filter((row) => known(row.mpjpe_mm));
  if (usable.length < 2) return false;
  const across = { "per window": (row) => row.latency_ms.p50 / row.batch, "per live frame": (row) => row.latency_per_live_frame_ms };
  const upward = { "one pose a frame": (row) => row.mpjpe_mm, "windows overlapping": (row) => row.accuracy?.overlap_mpjpe_mm };
  const chosen = { x: "per window", y: "one pose a frame" };
  const holder = document.getElementById("front-chart");
  const again = drawn(holder, draw);
  const same = usable.every((row) => row.every === 1);
  choice("x", across, same), choice("y", upward, !usable.every((row) => row.accuracy));
  return true;

  function choice(which, options, needless) {
    if (needless) return;
    const group = html("fieldset", {});
    for (const name of Object.keys(options)) {
      const button = html("button", { type: "button", "aria-pressed": String(chosen[which] === name) }, name);
      button.addEventListener("click", () => {
        chosen[which] = name;
        group.querySelectorAll("button").forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
        again();
      });
      group.append(button);
    }
    document.getElementById("front-choices").append(group);
  }

  function draw(width) {
    const height = width < 560 ? 330 : 420, [left, right, top, bottom] = [52, width - 14, 26, height - 46];
    const points = usable.map((row) => ({ row, x: across[chosen.x](row), y: upward[chosen.y](row) }));
    const [xs, ys] = [points.map((point) => point.x), points.map((point) => point.y)];
    const [low, high] = [Math.min(...xs), Math.max(...xs)], log = high / low > 6;
    const X = log ? scale(low / 1.25, high * 1.25, left, right, true) : scale(Math.max(low - (high - low) * 0.12, 0), high + (high - low) * 0.16, left, right);
    const room = Math.max((Math.max(...ys) - Math.min(...ys)) * 0.2, 0.05);
    const Y = scale(Math.min(...ys) - room, Math.max(...ys) + room, bottom, top);
    const nearer = (one, other) => Math.round(100 * one.y) - Math.round(100 * other.y); // a hundredth of a millimetre is no difference
    const front = points.filter((one) => !points.some((other) => (other.x <= one.x && nearer(other, one) < 0) || (other.x < one.x && nearer(other, one) <= 0)));
    front.sort((one, other) => one.x - other.x);
    const steps = front.map((point, place) => (place ? `H${X(point.x)}V${Y(point.y)}` : `M${X(point.x)} ${Y(point.y)}`)).join("");
    const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": "latency against error" });
    chart.append(...xAxis(X, left, right, `${chosen.x}, ms${log ? " (logarithmic)" : ""}`, top, bottom), ...yAxis(Y, left, right, "MPJPE, mm"));
    chart.append(svg("path", { d: steps, fill: "none", stroke: "#0f62c4", "stroke-width": 2, "stroke-dasharray": "1 5", "stroke-linecap": "round" }));
    const taken = points.map(({ x, y }) => ({ y: Y(y) + 4, from: X(x) - 10, to: X(x) + 10 }));
    for (const { row, x, y } of points) {
      const mark = marker(shape(row), colour(row), X(x), Y(y), 8);
      chart.append(explain(mark, `${called(row)}\n${number(x)} ms ${chosen.x}\nMPJPE ${y.toFixed(2)} mm (${signed(row.delta_mpjpe_mm)})`));
      if (width >= 560) chart.append(label(called(row), X(x), Y(y), right, taken));
    }
    return width >= 560 ? [chart] : [chart, key(usable)];
  }
}

// A name beside its mark, where nothing stands yet.
function label(words, x, y, right, taken) {
  const size = words.length * 6.6, first = [x + 14, y + 4];
  const beside = [first, [x - 14 - size, y + 4], [x - size / 2, y - 15], [x - size / 2, y + 25]];
  const further = [-30, 40, -45, 55, -60].flatMap((by) => [[x - size / 2, y + by], [x + 14, y + by]]);
  const free = ([from, at]) => from > 54 && from + size < right && !taken.some((box) => Math.abs(box.y - at) < 14 && box.from < from + size && from < box.to);
  const [from, at] = [...beside, ...further].find(free) ?? first;
  taken.push({ y: at, from, to: from + size });
  return svg("text", { class: "strong halo", x: from, y: at }, words);
}

export function key(shown) {
  return html("div", { className: "key" }, ...shown.map((row) => {
    const mark = svg("svg", { viewBox: "0 0 18 18", width: 16, height: 16, style: "width:16px" }, marker(shape(row), colour(row), 9, 9, 6));
    return html("span", {}, mark, called(row));
  }));
}

// ---------------------------------------------------------------- distributions
export function spreadChart() {
  const shown = rows.filter((row) => row.quantiles_ms.length === 101);
  if (!shown.length) return false;
  drawn(document.getElementById("spread-chart"), (width) => {
    const narrow = width < 640, each = narrow ? 54 : 38, top = 8, bottom = top + each * shown.length, height = bottom + 44;
    const left = narrow ? 8 : 250, right = width - 64;
    const [low, high] = [Math.min(...shown.map((row) => row.quantiles_ms[0])), Math.max(...shown.map((row) => row.quantiles_ms[99]))];
    const log = high / low > 8, X = log ? scale(low * 0.95, high * 1.05, left, right, true) : scale(0, high * 1.03, left, right);
    const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": "latency distributions" });
    chart.append(...xAxis(X, left, right, `one call, ms${log ? " (logarithmic)" : ""}`, top, bottom));
    shown.forEach((row, place) => {
      const middle = top + each * (place + 0.5) + (narrow ? 8 : 0), q = row.quantiles_ms, mark = svg("g");
      for (const [from, to, thick, opacity] of [[1, 99, 10, 0.22], [10, 90, 16, 0.45], [25, 75, 20, 1]]) {
        mark.append(svg("rect", { x: X(q[from]), width: Math.max(X(q[to]) - X(q[from]), 1.5), y: middle - thick / 2, height: thick, rx: 2, fill: colour(row), opacity }));
      }
      mark.append(svg("rect", { x: X(q[50]) - 1, width: 2, y: middle - 12, height: 24, fill: "#16202e" }));
      const { p50, p90, p99, n } = row.latency_ms;
      chart.append(explain(mark, `${called(row)}\np50 ${number(p50)}, p90 ${number(p90)}, p99 ${number(p99)} ms\nfastest ${number(q[0])}, slowest ${number(q[100])} ms of ${n} calls`));
      const label = narrow ? { x: left, y: middle - 16 } : { x: left - 14, y: middle + 4, "text-anchor": "end" };
      chart.append(svg("text", { class: "strong", ...label }, shortened(called(row), narrow ? 60 : 36)));
      chart.append(svg("text", { x: X(q[99]) + 8, y: middle + 4 }, `${number(p50)}`));
    });
    return chart;
  });
  drawn(document.getElementById("course-chart"), (width) => courseChart(shown, width));
  return true;
}

function courseChart(shown, width) {
  const height = 250, [left, right, top, bottom] = [52, width - 12, 24, 204];
  const all = shown.flatMap((row) => row.blocks_ms), most = Math.max(...shown.map((row) => row.blocks_ms.length));
  const [low, high] = [Math.min(...all), Math.max(...all)], log = high / low > 8;
  const step = Math.max((report.method.rounds ?? most) / most, 1); // rounds for each block that is drawn
  const X = scale(1, Math.max(most * step, 2), left, right), Y = log ? scale(low * 0.93, high * 1.07, bottom, top, true) : scale(0, high * 1.05, bottom, top);
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": "block medians in the course of the run" });
  chart.append(...xAxis(X, left, right, "round", top, bottom), ...yAxis(Y, left, right, "median of a block, ms"));
  for (const row of shown) {
    const points = row.blocks_ms.map((value, place) => `${X((place + 1) * step).toFixed(1)} ${Y(value).toFixed(1)}`);
    const line = svg("path", { d: `M${points.join("L")}${points.length > 1 ? "" : "h6"}`, fill: "none", stroke: colour(row), "stroke-width": 1.8, "stroke-linejoin": "round", ...dashed(row) });
    chart.append(explain(line, `${called(row)}: ${number(row.latency_ms.p50)} ms`));
  }
  return [chart, key(shown)];
}

// ---------------------------------------------------------------- throughput
export function curveCharts() {
  const threads = [...new Set(report.rows.map((row) => row.threads))], batches = [...new Set(report.rows.map((row) => row.batch))];
  if (threads.length * batches.length < 2) return false;
  const holder = document.getElementById("curve-charts");
  const all = report.rows.map((row, place) => ({ ...row, file: report.names[place] }));
  const panels = batches.length > 1 ? threads.map((count) => [`${count} thread${count > 1 ? "s" : ""}`, "batch", all.filter((row) => row.threads === count)])
    : [[`batch ${batches[0]}`, "threads", all]];
  const highest = Math.max(...all.map((row) => row.throughput_windows_per_s)), lowest = Math.min(...all.map((row) => row.throughput_windows_per_s));
  for (const [title, across, shown] of panels) {
    const chart = html("div", { className: "chart" });
    holder.append(html("div", {}, html("h3", {}, title), chart));
    drawn(chart, (width) => {
      const height = 320, [left, right, top, bottom] = [56, width - 16, 26, 270];
      const places = [...new Set(shown.map((row) => row[across]))].sort((a, b) => a - b);
      const X = scale(places[0] / 1.1, places.at(-1) * 1.1, left, right, true), log = highest / lowest > 5;
      X.ticks = places;
      const Y = log ? scale(lowest / 1.15, highest * 1.15, bottom, top, true) : scale(0, highest * 1.06, bottom, top);
      const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": `throughput, ${title}` });
      picture.append(...xAxis(X, left, right, across === "batch" ? "windows in one call" : "threads", top, bottom), ...yAxis(Y, left, right, "windows per second"));
      for (const row of rows) {
        const line = shown.filter((other) => other.artefact === row.artefact && other.backend === row.backend && other.cuda_graph === row.cuda_graph)
          .sort((a, b) => a[across] - b[across]);
        const d = line.map((each, place) => `${place ? "L" : "M"}${X(each[across])} ${Y(each.throughput_windows_per_s)}`).join("");
        picture.append(svg("path", { d, fill: "none", stroke: colour(row), "stroke-width": 2, ...dashed(row) }));
        for (const each of line) {
          const mark = marker(shape(row), colour(row), X(each[across]), Y(each.throughput_windows_per_s), 5.5);
          const words = `${number(each.throughput_windows_per_s)} windows a second\n${number(each.latency_ms.p50)} ms a call of ${each.batch}, ${each.threads} threads`;
          picture.append(explain(mark, `${called(row)}\n${words}`));
        }
      }
      return picture;
    });
  }
  holder.after(key(rows));
  return true;
}

// ---------------------------------------------------------------- cold start
export function coldChart() {
  const shown = rows.filter((row) => row.cold);
  if (!shown.length) return false;
  const parts = [["start_ms", "#c3cfde", "Python and imports"], ["load_ms", "#6f9bd8", "load"], ["first_ms", "#0f4f9e", "first call"]];
  drawn(document.getElementById("cold-chart"), (width) => {
    const narrow = width < 640, each = narrow ? 50 : 34, top = 6, bottom = top + each * shown.length, height = bottom + 44;
    const left = narrow ? 8 : 250, right = width - 70, X = scale(0, Math.max(...shown.map((row) => row.cold.total_ms)) * 1.02, left, right);
    const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": "cold start" });
    chart.append(...xAxis(X, left, right, "ms", top, bottom));
    shown.forEach((row, place) => {
      const middle = top + each * (place + 0.5) + (narrow ? 8 : 0), mark = svg("g");
      let at = 0;
      for (const [name, fill] of parts) {
        mark.append(svg("rect", { x: X(at), width: Math.max(X(at + row.cold[name]) - X(at), 0.5), y: middle - 9, height: 18, fill }));
        at += row.cold[name];
      }
      const words = parts.map(([name, , what]) => `${what}: ${number(row.cold[name])} ms`).join("\n");
      chart.append(explain(mark, `${called(row)}\n${words}\nmedian of ${row.cold.n}; then ${number(row.latency_ms.p50)} ms a call`));
      const label = narrow ? { x: left, y: middle - 14 } : { x: left - 14, y: middle + 4, "text-anchor": "end" };
      chart.append(svg("text", { class: "strong", ...label }, shortened(called(row), narrow ? 60 : 36)));
      chart.append(svg("text", { x: X(at) + 8, y: middle + 4 }, number(row.cold.total_ms)));
    });
    const legend = parts.map(([, fill, what]) => html("span", {}, html("i", { className: "swatch", style: `background:${fill}` }), what));
    return [chart, html("div", { className: "key" }, ...legend)];
  });
  return true;
}

// ---------------------------------------------------------------- layers
const KINDS = ["#2f6fde", "#d9660b", "#0f8f86", "#8446c4", "#b0367f", "#7a8a00", "#a34a28", "#46708f"];

export function layerChart() {
  const shown = rows.filter((row) => row.layers?.length);
  if (!shown.length) return false;
  const select = document.getElementById("layer-choice");
  select.append(...shown.map((row, place) => html("option", { value: String(place) }, called(row))));
  const tint = (kind) => KINDS[byKind(current()).findIndex(([name]) => name === kind)] ?? "#a5afbb";
  const again = [drawn(document.getElementById("kind-chart"), kindsOf), drawn(document.getElementById("layer-chart"), layersOf)];
  select.addEventListener("change", () => again.forEach((draw) => draw()));
  return true;

  function current() {
    return shown[Number(select.value)];
  }

  function byKind(row) {
    const sums = new Map();
    for (const { kind, share } of row.layers) sums.set(kind, [(sums.get(kind)?.[0] ?? 0) + share, (sums.get(kind)?.[1] ?? 0) + 1]);
    return [...sums].sort((one, other) => other[1][0] - one[1][0]);
  }

  function kindsOf(width) {
    const parts = byKind(current());
    const chart = svg("svg", { viewBox: `0 0 ${width} 34`, height: 34, role: "img", "aria-label": "time by kind of node" });
    let at = 0;
    for (const [kind, [share, count]] of parts) {
      const bar = svg("rect", { x: at * width, width: Math.max(share * width - 1, 0.5), y: 0, height: 30, fill: tint(kind), rx: 2 });
      chart.append(explain(bar, `${kind}: ${(100 * share).toFixed(1)} %, ${count} nodes`));
      at += share;
    }
    const legend = parts.slice(0, 8).map(([kind, [share, count]]) => html("span", {}, html("i", { className: "swatch", style: `background:${tint(kind)}` }), `${kind} ${(100 * share).toFixed(0)} % (${count})`));
    return [chart, html("div", { className: "key" }, ...legend)];
  }

  function layersOf(width) {
    const layers = [...current().layers].sort((one, other) => other.mean_ms - one.mean_ms).slice(0, 40);
    const narrow = width < 640, each = narrow ? 36 : 21, top = 20, bottom = top + each * layers.length;
    const left = narrow ? 4 : 420, right = width - 60, X = scale(0, layers[0].mean_ms, left, right);
    const chart = svg("svg", { viewBox: `0 0 ${width} ${bottom + 26}`, height: bottom + 26, role: "img", "aria-label": "time by node" });
    layers.forEach((layer, place) => {
      const y = top + each * place, bar = svg("rect", { x: left, width: Math.max(X(layer.mean_ms) - left, 1), y: narrow ? y + 14 : y + 2, height: narrow ? 14 : 15, fill: tint(layer.kind), rx: 2 });
      const stands = layer.nodes.length ? `stands for ${layer.nodes.length}: ${layer.nodes.slice(0, 14).join(", ")}${layer.nodes.length > 14 ? ", …" : ""}` : "stands for no ONNX node";
      chart.append(explain(bar, `${layer.name} (${layer.kind})\n${number(1000 * layer.mean_ms)} µs, ${(100 * layer.share).toFixed(1)} %\n${stands}`));
      const words = layer.nodes.length ? layer.nodes.at(-1) + (layer.nodes.length > 1 ? ` and ${layer.nodes.length - 1} more` : "") : `${layer.kind} of the runtime`;
      const label = narrow ? { x: left, y: y + 10 } : { x: left - 10, y: y + 14, "text-anchor": "end" };
      chart.append(svg("text", label, shortened(words, narrow ? 46 : 62)));
      chart.append(svg("text", { class: "strong", x: X(layer.mean_ms) + 6, y: narrow ? y + 25 : y + 14 }, `${number(1000 * layer.mean_ms)} µs`));
    });
    const rest = current().layers.length - layers.length;
    if (rest > 0) chart.append(svg("text", { x: left, y: bottom + 18 }, `and ${rest} faster nodes`));
    return chart;
  }
}
