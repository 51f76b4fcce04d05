// Updates the progress of a schedule while it is running and the page is visible.
(() => {
  const panel = document.getElementById("progress");
  const noNews = document.querySelector("[data-no-news]");

  async function refresh() {
    if (document.hidden || panel.contains(document.activeElement)) return;
    const response = await fetch(panel.dataset.live).catch(() => null);
    const news = response && response.ok && !response.redirected ? await response.json().catch(() => null) : null;
    noNews.hidden = news !== null;
    if (!news) return;
    panel.innerHTML = news.html;
    panel.dataset.moves = news.moves;
  }

  // An idle schedule may start at any time: poll it less often.
  let idleTicks = 0;
  setInterval(() => {
    if (panel.dataset.moves === "true" || ++idleTicks % 5 === 0) refresh();
  }, 2000);
})();
