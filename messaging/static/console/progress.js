// Renews the progress of a schedule while it moves and somebody looks at it.
(() => {
  const panel = document.getElementById("progress");
  const noNews = document.querySelector("[data-no-news]");

  async function refresh() {
    if (document.hidden || panel.contains(document.activeElement)) return;
    const answer = await fetch(panel.dataset.live).catch(() => null);
    const news = answer && answer.ok && !answer.redirected ? await answer.json().catch(() => null) : null;
    noNews.hidden = news !== null;
    if (!news) return;
    panel.innerHTML = news.html;
    panel.dataset.moves = news.moves;
  }

  // What does not move may begin to: it is asked for less often.
  let rest = 0;
  setInterval(() => {
    if (panel.dataset.moves === "true" || ++rest % 5 === 0) refresh();
  }, 2000);
})();
