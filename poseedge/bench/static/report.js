import { html, number } from "./charts.js";
import { called, coldChart, curveCharts, frontChart, layerChart, report, resultTables, rows, sortable, spreadChart } from "./sections.js";

const put = (id, ...inside) => document.getElementById(id).replaceChildren(...inside);
const { machine, method } = report;

function heading() {
  const models = [...new Set(rows.map((row) => row.model))];
  put("title", `${models.join(", ")}: ${rows.length} ${rows.length === 1 ? "artefact" : "artefacts"} side by side`);
  document.title = `poseedge bench: ${models.join(", ")}`;
  const where = [machine.board ?? machine.jetson?.board ?? machine.cpu ?? machine.gpu, ...(machine.gpus ?? [])].filter(Boolean);
  const how = [`batch ${method.batch}`, method.threads ? `${method.threads} thread${method.threads > 1 ? "s" : ""}` : "", method.rounds ? `${method.rounds} round${method.rounds > 1 ? "s" : ""}` : ""];
  put("place", [...where, ...how.filter(Boolean), report.created?.slice(0, 10)].filter(Boolean).join(" · "));
  if (report.recommendation) {
    const { artefact, sentence } = report.recommendation;
    put("advice", html("p", artefact ? {} : { className: "no" }, sentence[0].toUpperCase() + sentence.slice(1) + "."));
  }
  put("version", report.version);
}

function tile(value, what, who) {
  return html("div", { className: "tile" }, html("span", {}, what), html("b", {}, value), html("em", {}, who));
}

function least(value) {
  return rows.filter((row) => Number.isFinite(value(row))).sort((one, other) => value(one) - value(other))[0];
}

function tiles() {
  const made = [];
  const window = (row) => row.latency_ms.p50 / row.batch;
  const fastest = least(window);
  made.push(tile(`${number(window(fastest))} ms`, "fastest window, median", called(fastest)));
  const light = least((row) => row.latency_per_second_ms ?? NaN);
  if (light) made.push(tile(`${number(1000 / light.latency_per_second_ms)}×`, "faster than the motion, live", called(light)));
  const exact = least((row) => (row.backend.startsWith("torch") ? NaN : row.accuracy?.distance?.mean ?? row.distance_mm?.mean ?? NaN));
  if (exact) {
    const { mean } = exact.accuracy?.distance ?? exact.distance_mm;
    made.push(tile(`${mean < 0.005 ? "< 0.01" : mean.toFixed(2)} mm`, "nearest to the reference", called(exact)));
  }
  const small = least((row) => row.peak_rss_bytes ?? NaN);
  if (small) made.push(tile(`${number(small.peak_rss_bytes / 1e6)} MB`, "least memory", called(small)));
  const ready = least((row) => row.cold?.total_ms ?? NaN);
  if (ready) made.push(tile(`${number(ready.cold.total_ms / 1000)} s`, "shortest cold start", called(ready)));
  put("tiles", ...made);
}

function notes() {
  const first = rows.find((row) => row.ratio?.low === 1 && row.ratio.high === 1);
  const baseline = first ? ` Ratios are to ${called(first)}.` : "";
  const tested = method.accuracy ? ` Accuracy: ${method.accuracy}.` : "";
  put("results-lead", `Click a heading to sort. ★: nothing else here is both faster and nearer to the truth.${baseline}${tested}`);
  const doubtful = /busy|disagree|unsteady|throttled|may vary/;
  put("notes", ...report.remarks.map((said) => html("li", doubtful.test(said) ? { className: "warn" } : {}, said)));
}

function words(value) {
  if (Array.isArray(value)) return value.join(", ");
  if (value && typeof value === "object") return Object.entries(value).filter(([, inner]) => inner !== null).map(([name, inner]) => `${name} ${words(inner)}`).join(", ");
  return typeof value === "number" && !Number.isInteger(value) ? number(value) : String(value);
}

function facts(id, content) {
  const shown = Object.entries(content).filter(([, value]) => value !== null && words(value) !== "");
  const said = (name, value) => (name.endsWith("_bytes") ? `${number(value / 1e6)} MB` : name === "others_share" ? `${(100 * value).toFixed(1)} %` : words(value));
  const names = { others_share: "others' share of the cores" };
  put(id, ...shown.flatMap(([name, value]) => [html("dt", {}, names[name] ?? name.replaceAll("_", " ").replace(/ bytes$/, "")), html("dd", {}, said(name, value))]));
}

function moved() {
  const compared = report.compared;
  if (!compared) return false;
  const limit = compared.fail_above === null ? "" : ` Allowed: ${compared.fail_above} times as long.`;
  put("moved-lead", `Now divided by then (${compared.against}); below 1 is faster.${limit}`);
  const several = new Set(compared.rows.map((row) => `${row.batch}/${row.threads}`)).size > 1;
  sortable(document.getElementById("moved-table"), [
    { head: "artefact", value: (row) => row.label, show: (row) => row.label + (several ? `, batch ${row.batch}, threads ${row.threads}` : "") },
    { head: "then\nms", value: (row) => row.then_ms, show: (row) => number(row.then_ms) },
    { head: "now\nms", value: (row) => row.now_ms, show: (row) => number(row.now_ms) },
    { head: "now / then", value: (row) => row.moved, show: (row) => row.moved.toFixed(3) + (row.failed ? " ✕" : "") },
    { head: "95 %", value: (row) => row.low, show: (row) => (row.low === null ? "-" : `${row.low.toFixed(3)}–${row.high.toFixed(3)}`) },
    { head: "ratio\nthen", value: (row) => row.ratio_then, show: (row) => row.ratio_then?.toFixed(3) },
    { head: "ratio\nnow", value: (row) => row.ratio_now, show: (row) => row.ratio_now?.toFixed(3) },
    { head: "MPJPE\nmm", value: (row) => row.mpjpe_moved_mm, show: (row) => row.mpjpe_moved_mm?.toFixed(3) },
  ], compared.rows);
  return true;
}

heading();
tiles();
resultTables();
notes();
facts("machine-facts", machine);
facts("method-facts", method);
const drawnSections = {
  front: frontChart(), skeletons: Boolean(report.clip), spread: spreadChart(), curves: curveCharts(), "cold-chart": coldChart(), layers: layerChart(), moved: moved(),
};
for (const [id, there] of Object.entries(drawnSections)) if (!there) document.getElementById(id).remove();
put("contents", ...[...document.querySelectorAll("main section")].map((section) => html("a", { href: `#${section.id}` }, section.querySelector("h2").textContent)));
