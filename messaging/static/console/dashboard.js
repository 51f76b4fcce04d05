// Draws the chart, and polls for updates every few seconds while the page is visible.
(() => {
  const EVERY_MS = 4000;
  const page = document.getElementById("dashboard");
  const parts = [...page.querySelectorAll("[data-live-part]")];
  const canvas = page.querySelector("canvas");
  const buttons = [...page.querySelectorAll("[data-period]")];
  const COLORS = {
    light: { delivered: "#16a34a", undelivered: "#dc2626", failed: "#7f1d1d", unknown: "#f59e0b", canceled: "#9ca3af", sent: "#4f46e5", received: "#0891b2", grid: "#e5e7eb", text: "#4b5563" },
    dark: { delivered: "#4ade80", undelivered: "#f87171", failed: "#b91c1c", unknown: "#fbbf24", canceled: "#6b7280", sent: "#a5b4fc", received: "#22d3ee", grid: "#29324a", text: "#b6c0d3" },
  };
  const LINES = new Set(["sent", "received"]);
  const NAMES = { sent: "handed to a provider" };
  let data = JSON.parse(document.getElementById("chart-data").textContent);
  let period = "hours";
  let chart = null;

  const isDark = () => document.documentElement.classList.contains("dark");

  function datasets(colors) {
    return Object.entries(data[period].series).map(([status, values]) => ({
      label: NAMES[status] || status,
      data: values,
      type: LINES.has(status) ? "line" : "bar",
      backgroundColor: colors[status],
      borderColor: colors[status],
      borderWidth: LINES.has(status) ? 2 : 0,
      pointRadius: 0,
      tension: 0,
      stack: LINES.has(status) ? status : "ended",
      order: LINES.has(status) ? 0 : 1,
    }));
  }

  function describe() {
    const sums = Object.entries(data[period].series).map(([status, values]) => `${values.reduce((a, b) => a + b, 0)} ${NAMES[status] || status}`);
    canvas.setAttribute("aria-label", `Messages in the last ${period === "hours" ? "24 hours" : "30 days"}: ${sums.join(", ")}`);
  }

  function draw() {
    const colors = COLORS[isDark() ? "dark" : "light"];
    if (chart) chart.destroy();
    const axis = { grid: { color: colors.grid }, ticks: { color: colors.text, maxRotation: 0, autoSkipPadding: 12, precision: 0 } };
    chart = new Chart(canvas, {
      data: { labels: data[period].labels, datasets: datasets(colors) },
      options: {
        animation: false,
        responsive: true,
        maintainAspectRatio: false,
        interaction: { mode: "index", intersect: false },
        plugins: { legend: { position: "bottom", labels: { color: colors.text, boxWidth: 12, boxHeight: 12 } } },
        scales: { x: { ...axis, stacked: true, grid: { display: false } }, y: { ...axis, stacked: true, beginAtZero: true, suggestedMax: 4 } },
      },
    });
    describe();
  }

  function update() {
    chart.data.labels = data[period].labels;
    datasets(COLORS[isDark() ? "dark" : "light"]).forEach((set, index) => Object.assign(chart.data.datasets[index], set));
    chart.update("none");
    describe();
  }

  // Without a warning, old figures would be taken for current ones.
  const noNews = page.querySelector("[data-no-news]");
  function warn() {
    noNews.querySelector("[data-since]").textContent = ` since ${page.querySelector("[data-as-of]").textContent}`;
    noNews.hidden = false;
  }

  async function refresh() {
    if (document.hidden) return;
    const response = await fetch(page.dataset.live, { headers: { Accept: "application/json" } }).catch(() => null);
    if (!response || !response.ok || response.redirected) return warn();
    const news = await response.json().catch(() => null);
    if (!news) return warn();
    noNews.hidden = true;
    data = news.chart;
    update();
    // Do not replace the part that has the focus; it is updated after the focus has left it.
    for (const part of parts) {
      if (!part.contains(document.activeElement)) part.innerHTML = news[part.dataset.livePart];
    }
  }

  for (const button of buttons) {
    button.addEventListener("click", () => {
      period = button.dataset.period;
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      draw();
    });
  }
  new MutationObserver(draw).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
  document.addEventListener("visibilitychange", refresh);
  draw();
  setInterval(refresh, EVERY_MS);
})();
