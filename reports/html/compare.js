// Any two runs, or any two groups of them, side by side. The rules are those of suite/statistics.py: a paired ratio where one
// run interleaved the other's stack with its own, else the quotient of two intervals; a verdict only where noise and machine allow one.
const NONE = "\u2013", TIMES = "\u00d7";

const judged = ([ratio, low, high, count, decides], { min_effect, min_values }) => {
  const upper = 1 + min_effect, lower = 1 / upper;
  if (!decides || low === null || count < min_values) return "cannot be told";
  if (low > upper) return "slower";
  if (high < lower) return "faster";
  return low >= lower && high <= upper ? "no difference" : "cannot be told";
};

const timeRatio = (a, b) => {
  if (a.group === b.group && b.paired[a.stack]) return [b.paired[a.stack], "paired trials of B"];
  if (a.group === b.group && a.paired[b.stack]) {
    const [ratio, low, high, count, decides] = a.paired[b.stack];
    return [[1 / ratio, high && 1 / high, low && 1 / low, count, decides], "paired trials of A"];
  }
  const [[x, xLow, xHigh], [y, yLow, yHigh]] = [a.latency.ends, b.latency.ends];
  const known = [xLow, xHigh, yLow, yHigh].every((end) => end !== null);
  const count = Math.min(a.latency.trials, b.latency.trials);
  return [[y / x, known ? yLow / xHigh : null, known ? yHigh / xLow : null, count, a.is_quiet && b.is_quiet], "trials of either"];
};

const factor = ([ratio, low, high]) => {
  const digits = (value) => value >= 1000 ? value.toFixed(0) : value.toPrecision(3);
  const interval = low === null || low === high ? "" : ` [${digits(low)}${NONE}${digits(high)}]`;
  return `${digits(ratio)}${TIMES}${interval}`;
};

const timeCells = (a, b, rules) => {
  if (!a.latency || !b.latency) return null;
  const [ratio, from] = timeRatio(a, b);
  const doubtful = [a.is_quiet ? "" : "A", b.is_quiet ? "" : "B"].filter(Boolean);
  const doubt = doubtful.length ? `; ${doubtful.join(" and ")} on a machine that was not quiet` : "";
  return [a.latency.words, b.latency.words, factor(ratio), judged(ratio, rules), `${ratio[3]} ${from}${doubt}`];
};

const valueCells = (a, b, { min_effect }) => {
  if (!a || !b || !a.value) return null;
  const ratio = b.value / a.value, upper = 1 + min_effect;
  const word = ratio > upper ? "more" : ratio < 1 / upper ? "less" : "no difference";
  if (a.is_one_pass) return [a.words, b.words, factor([ratio, null]), "noise not known", "one profiled pass"];
  return [a.words, b.words, factor([ratio, null]), word, "a single value"];
};

const runRows = (a, b, rules) => {
  const both = (part) => Object.keys(a[part]).filter((name) => name in b[part]);
  const values = both("values").map((name) => [name, valueCells(a.values[name], b.values[name], rules)]);
  const classes = both("classes").map((name) => [name, valueCells(a.classes[name], b.classes[name], rules)]);
  return [["latency", timeCells(a, b, rules)], ...values, ...classes].filter(([, cells]) => cells);
};

const groupRows = (a, b, rules) => {
  const rows = [];
  for (const first of a) {
    const second = b.find((run) => run.stack === first.stack);
    if (!second) continue;
    const names = Object.keys(first.values).filter((name) => name in second.values);
    rows.push([`${first.stack}: latency`, timeCells(first, second, rules)]);
    rows.push(...names.map((name) => [`${first.stack}: ${name}`, valueCells(first.values[name], second.values[name], rules)]));
  }
  return rows.filter(([, cells]) => cells);
};

const makeComparable = (section) => {
  const { runs, ...rules } = JSON.parse(section.querySelector("script").textContent);
  const groups = [...new Set(runs.map((run) => run.group))];
  const [first, second] = section.querySelectorAll("select");
  const body = section.querySelector("tbody"), told = section.querySelector("output");
  const option = (value, text) => element("option", { value, textContent: text });
  for (const select of [first, second]) {
    if (groups.length > 1) {
      select.append(element("optgroup", { label: "whole groups" }, ...groups.map((name, at) => option(`group ${at}`, `all of ${name}`))));
    }
    for (const name of groups) {
      const own = runs.map((run, at) => [run, at]).filter(([run]) => run.group === name);
      select.append(element("optgroup", { label: name }, ...own.map(([run, at]) => option(`run ${at}`, `${name}: ${run.stack} (${run.id})`))));
    }
  }
  const chosen = (select) => {
    const [kind, at] = select.value.split(" ");
    return [kind, kind === "run" ? runs[at] : runs.filter((run) => run.group === groups[at])];
  };
  const show = () => {
    const [[kind, a], [other, b]] = [chosen(first), chosen(second)];
    const rows = kind !== other ? [] : kind === "run" ? runRows(a, b, rules) : groupRows(a, b, rules);
    body.replaceChildren(...rows.map(([name, cells]) => {
      const row = element("tr", {}, element("th", { scope: "row", textContent: name }));
      row.append(...cells.map((text, column) => element("td", { textContent: text, className: column < 3 ? "number" : "" })));
      row.cells[4].className = { faster: "word-faster", less: "word-faster", slower: "word-slower", more: "word-slower" }[cells[3]] || "word-same";
      return row;
    }));
    told.value = kind !== other ? "Choose two runs or two groups." : rows.length ? "" : "They have no number in common.";
  };
  section.querySelector("button").addEventListener("click", () => {
    [first.value, second.value] = [second.value, first.value];
    show();
  });
  first.addEventListener("change", show);
  second.addEventListener("change", show);
  [first.value, second.value] = ["run 0", "run 1"];
  section.hidden = false;
  show();
};

document.querySelectorAll("section.compare").forEach(makeComparable);
